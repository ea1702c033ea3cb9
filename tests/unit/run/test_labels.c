/* Classes of many prompts: the same bits as by the whole head, one prompt after the other, whatever they
 * begin with and whatever was asked before. */
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/model.h"
#include "run/labels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { V = 384, K = 3, MODELS = 2, PROMPTS = 9 };

#define TASK                                                                                                 \
	"\"bitdistill\": {\"norms\": \"subln\", \"weights\": \"ternary\", \"task\": {\"template\": "         \
	"{\"name\": \"t\", \"fields\": [\"x\", \"y\"], \"prompt\": \"{x}\", \"label\": \"y\", \"classes\": " \
	"[\"0\", \"1\", \"2\"], \"labels\": [[\"a\"], [\"b\"], [\"c\"]]}, \"choices\": [70, 7, 300]}}}"

static const char *const config[MODELS] = {
    "{\"architectures\": [\"Qwen3ForCausalLM\"], \"model_type\": \"qwen3\", \"hidden_size\": 48, "
    "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 16, "
    "\"intermediate_size\": 80, \"vocab_size\": 384, \"max_position_embeddings\": 600, \"hidden_act\": "
    "\"silu\", "
    "\"rms_norm_eps\": 1e-06, \"rope_theta\": 10000.0, \"attention_bias\": false, \"tie_word_embeddings\": "
    "false, "
    "\"initializer_range\": 0.2, " TASK,
    "{\"architectures\": [\"Gemma3ForCausalLM\"], \"model_type\": \"gemma3_text\", \"hidden_size\": 64, "
    "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"num_key_value_heads\": 1, \"head_dim\": 16, "
    "\"intermediate_size\": 96, \"vocab_size\": 384, \"max_position_embeddings\": 600, "
    "\"hidden_activation\": "
    "\"gelu_pytorch_tanh\", \"rms_norm_eps\": 1e-06, \"sliding_window\": 9, \"sliding_window_pattern\": 2, "
    "\"query_pre_attn_scalar\": 50, \"rope_theta\": 100000.0, \"rope_local_base_freq\": 10000.0, "
    "\"tie_word_embeddings\": true, \"initializer_range\": 0.2, " TASK,
};

static char dir[] = "/tmp/bd-test-labels.XXXXXX";

static struct bd_infer *open_model(size_t i, struct bd_dev *dev)
{
	json_t *json = bd_json_parse(config[i], strlen(config[i]), "test");
	struct bd_config c = bd_config_parse(json, "test");
	struct bd_model *m = bd_model_new(&c);

	bd_model_init(m, 3);
	bd_model_save(m, dir, BD_F32, NULL);
	bd_model_free(m);
	bd_config_free(&c);
	json_decref(json);
	return bd_infer_open(dir, dev, false);
}

/* The prompts begin with `same` tokens that are the same; then each has a few of its own. */
static void make_prompts(struct bd_ids *prompt, size_t same, uint64_t seed)
{
	for (size_t i = 0; i < PROMPTS; i++) {
		prompt[i].n = 0;
		for (size_t j = 0; j < same + 1 + (i * 5 + seed) % 23; j++)
			bd_ids_push(&prompt[i],
			            (uint32_t)bd_rng_below(j < same ? 1 : seed, j < same ? 0 : i, j, V));
	}
}

struct seen {
	const struct bd_infer *m;
	double *p;
	size_t best;
};

static void see(void *ctx, size_t s, size_t P, const size_t *row, float *z)
{
	struct seen *x = ctx;

	(void)s, (void)row;
	assert_int_equal(P, 1);
	x->best = bd_infer_choose(z, x->m->choice, K, x->p);
}

/* By the whole head: the label is one more token, which the prompt predicts. */
static size_t alone(struct bd_infer *m, const struct bd_ids *prompt, double *p)
{
	uint32_t id[700] = {0};
	uint8_t target[700] = {0};
	struct seen x = {m, p, 0};

	memcpy(id, prompt->id, prompt->n * sizeof(*id));
	target[prompt->n] = 1;
	bd_infer_batch(m, &(struct bd_record){.n = prompt->n + 1, .ids = id, .target = target}, 1, see, &x);
	return x.best;
}

static void compare(struct bd_infer *m, struct bd_labels *l, const struct bd_ids *prompt, size_t n)
{
	double p[PROMPTS * K], want[K];
	size_t best[PROMPTS];

	bd_labels_run(l, prompt, n, p, best);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(best[i], alone(m, &prompt[i], want));
		assert_memory_equal(p + i * K, want, sizeof(want));
	}
}

static void test_labels(void **state)
{
	/* Nothing the same, less and more than a block of keys (256) and than the window; then less, as of
	 * another task's prompts. */
	static const size_t same[] = {0, 3, 3, 255, 256, 300, 20, 0};
	struct bd_ids prompt[PROMPTS] = {0};

	(void)state;
	for (size_t i = 0; i < MODELS; i++)
		for (int threads = 1; threads <= 3; threads += 2) {
			struct bd_dev *dev = bd_dev_threads(threads);
			struct bd_infer *m = open_model(i, dev);
			struct bd_labels *l = bd_labels_new(m);

			for (size_t j = 0; j < sizeof(same) / sizeof(*same); j++) {
				make_prompts(prompt, same[j], 2 + j);
				compare(m, l, prompt, PROMPTS);
				compare(m, l, prompt + 2, 1);
			}
			bd_labels_free(l);
			bd_infer_close(m);
			bd_dev_close(dev);
		}
	for (size_t i = 0; i < PROMPTS; i++)
		bd_ids_free(&prompt[i]);
}

/* Prompts of which one is the beginning of the others: each keeps a token of its own. */
static void test_one_in_the_other(void **state)
{
	struct bd_ids prompt[PROMPTS] = {0};
	struct bd_dev *dev = bd_dev_threads(1);
	struct bd_infer *m = open_model(0, dev);
	struct bd_labels *l = bd_labels_new(m);

	(void)state;
	for (size_t i = 0; i < PROMPTS; i++)
		for (size_t j = 0; j <= i % 5; j++)
			bd_ids_push(&prompt[i], (uint32_t)(17 * j));
	compare(m, l, prompt + 3, PROMPTS - 3);
	compare(m, l, prompt, PROMPTS);
	compare(m, l, prompt, 1);
	for (size_t i = 0; i < PROMPTS; i++)
		bd_ids_free(&prompt[i]);
	bd_labels_free(l);
	bd_infer_close(m);
	bd_dev_close(dev);
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
	(void)state;
	bd_remove_tree(dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_labels),
	    cmocka_unit_test(test_one_in_the_other),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
