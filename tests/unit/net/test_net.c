/* What a network refuses, and how it computes logits. Its numbers: test_golden.c. */
#include "net/net_model.h"

#include "base/json.h"
#include "base/msg.h"
#include "base/rng.h"
#include "child.h"
#include "device.h"
#include "math/op_linear.h"

enum { V = 11, T = 5 };

static struct bd_net *net;

static int set_up(void **state)
{
	static const char text[] =
	    "{\"model_type\": \"llama\", \"hidden_size\": 8, \"num_hidden_layers\": 1, "
	    "\"num_attention_heads\": 2, \"intermediate_size\": 12, \"vocab_size\": 11}";
	json_t *j = bd_json_parse(text, strlen(text), "test");
	struct bd_config c = bd_config_parse(j, "test");
	struct bd_model *m = bd_model_new(&c);

	bd_model_init(m, 1);
	bd_config_free(&c);
	json_decref(j);
	*state = m;
	net = bd_net_from_model(m, cpu(), false);
	return 0;
}

static int tear_down(void **state)
{
	bd_net_free(net);
	bd_model_free(*state);
	return 0;
}

/* Runs T tokens of which the one in the middle is *id. */
static void forward(void *id)
{
	struct bd_acts *a = bd_acts_new(net, false);
	size_t start[] = {0, T};
	uint32_t ids[T] = {1, 0, *(const uint32_t *)id, V - 1, 2};
	struct bd_batch b = {.n_seq = 1, .T = T, .start = start, .ids = ids};

	bd_net_forward(net, a, &b, NULL);
	bd_acts_free(a);
}

/* An id from 0 to the last of the vocabulary is one, the vocabulary's size is none. */
static void test_ids(void **state)
{
	uint32_t good[] = {0, V - 1}, bad[] = {V, V + 1, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_int_equal(child_run(forward, &good[i]).status, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		child_dies(forward, &bad[i], BD_DATA, "is not below the vocabulary's 11");
}

/* A cache of T positions holds T, and not one more; what came before counts. */
static void fill(void *new_tokens)
{
	struct bd_acts *a = bd_acts_new(net, false);
	struct bd_kv *kv = bd_kv_new(net, T);
	size_t start[] = {0, 2};
	uint32_t ids[T] = {1, 2, 3, 4, 5};
	struct bd_batch b = {.n_seq = 1, .T = 2, .start = start, .ids = ids};

	bd_net_forward(net, a, &b, &kv);
	assert_int_equal(kv->n, 2);
	b.T = start[1] = *(const size_t *)new_tokens;
	bd_net_forward(net, a, &b, &kv);
	assert_int_equal(kv->n, T);
	bd_kv_free(kv);
	bd_acts_free(a);
}

static void test_cache(void **state)
{
	size_t fits = T - 2, too_many = T - 1;

	(void)state;
	fill(&fits);
	child_dies(fill, &too_many, BD_DATA, "the context of 5 positions is full");
}

/* In training, logits are one product of the device; in inference those of a ternary net are the head's, row
 * by row. Both are told by their bits. */
static void test_logits(void **state)
{
	enum { P = 3, WIDTH = 96, ROWS = 50 };
	static const char text[] =
	    "{\"model_type\": \"llama\", \"hidden_size\": 96, \"num_hidden_layers\": 1, "
	    "\"num_attention_heads\": 2, \"intermediate_size\": 12, \"vocab_size\": 50}";
	json_t *j = bd_json_parse(text, strlen(text), "test");
	struct bd_config c = bd_config_parse(j, "test");
	float h[4 * WIDTH], rows[P * WIDTH], z[P * ROWS], product[P * ROWS], by_row[P * ROWS];
	const size_t row[P] = {2, 0, 3};

	(void)state;
	for (size_t i = 0; i < 4 * WIDTH; i++)
		h[i] = (float)bd_rng_normal(1, 2, i);
	for (size_t i = 0; i < P; i++)
		memcpy(rows + i * WIDTH, h + row[i] * WIDTH, WIDTH * sizeof(*h));
	for (int ternary = 0; ternary < 2; ternary++) {
		c.ternary = ternary;
		struct bd_model *m = bd_model_new(&c);
		bd_model_init(m, 1);
		struct bd_net *n = bd_net_from_model(m, cpu(), true);
		bd_dense_forward(cpu(),
		                 &(struct bd_dense){
		                     .y = product, .x = rows, .w = n->head.p, .T = P, .N = ROWS, .K = WIDTH});
		bd_lm_head_forward(cpu(),
		                   &(struct bd_lm_head){.z = by_row, .h = rows, .table = n->head, .P = P});
		assert_memory_not_equal(product, by_row, sizeof(z));
		for (int train = 0; train < 2; train++) {
			bd_net_logits(n, z, h, row, P, train);
			assert_memory_equal(z, train || !ternary ? product : by_row, sizeof(z));
		}
		bd_net_free(n);
		bd_model_free(m);
	}
	bd_config_free(&c);
	json_decref(j);
}

/* As with free(). */
static void test_nothing(void **state)
{
	(void)state;
	bd_net_free(NULL);
	bd_kv_free(NULL);
	bd_acts_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ids),
	    cmocka_unit_test(test_cache),
	    cmocka_unit_test(test_logits),
	    cmocka_unit_test(test_nothing),
	};

	bd_msg_tool("test_net");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
