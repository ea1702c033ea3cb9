/* The plan of --dry-run, part by part: shapes times sizes, for a small model and records that are counted by
 * hand. What is measured (the process, the libraries) is in tests/interop/plan.sh. */
#include "train/memory.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "device.h"
#include "run/infer.h"

#include <stdlib.h>

enum { V = 48, C = 64, F = 80, Q = 64, K = 32, D = 16, L = 2, RECORDS = 6, TOP = 7 };
#define RECORD sizeof(struct bd_record)

/* In steps of three and micro-batches of ten tokens: [6 4] [5], [3] [8 2]. */
static const struct {
	size_t n, targets;
} record[RECORDS] = {{6, 1}, {4, 2}, {5, 1}, {3, 1}, {8, 4}, {2, 1}};

static char dir[] = "/tmp/bd-test-memory.XXXXXX";

enum kind { EXAMPLES, FULL, LARGEST, STATES };

static void make_stream(const char *name, enum kind kind)
{
	struct bd_stream_head h = {.vocab = V,
	                           .layer = kind == STATES ? 1 : -1,
	                           .states_f16 = kind == STATES,
	                           .after_rope = true,
	                           .teacher = kind != EXAMPLES,
	                           .teacher_layers = L,
	                           .logits = kind != EXAMPLES,
	                           .top_k = kind == LARGEST ? TOP : 0,
	                           .tau = bd_train_defaults("distill").tau,
	                           .all_positions = kind == STATES,
	                           .width = {Q, K, K},
	                           .heads = {4, 2, 2}};
	uint32_t ids[8] = {1, 2, 3, 4, 5, 6, 7, 8}, zi[8 * TOP] = {0};
	static uint16_t z[8 * V], state[8 * Q];
	float zr[8] = {0};

	memset(h.tokenizer, 'a', 32);
	memset(h.teacher_digest, 'b', 32);
	struct bd_sink *s = bd_sink_open(name, 0, &h);
	for (size_t i = 0; i < RECORDS; i++) {
		uint8_t target[8] = {0};
		size_t n = record[i].n, positions = kind == STATES ? n - 1 : record[i].targets;
		struct bd_record r = {
		    .n = n, .ids = ids, .target = target, .label = -1, .z = z, .zi = zi, .zr = zr};

		memset(target + n - record[i].targets, 1, record[i].targets);
		r.positions = kind != EXAMPLES ? positions : 0;
		for (int k = 0; k < 3 && kind == STATES; k++)
			r.state[k] = state;
		bd_sink_put(s, &r);
	}
	bd_sink_close(s);
}

static int set_up(void **state)
{
	static const char *const name[] = {"examples", "full", "largest", "states"};

	(void)state;
	if (mkdtemp(dir) == NULL || chdir(dir) != 0)
		return -1;
	for (enum kind k = EXAMPLES; k <= STATES; k++)
		make_stream(name[k], k);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (chdir("/") != 0)
		return -1;
	bd_remove_tree(dir);
	return 0;
}

static struct bd_model *model(bool ternary)
{
	char *text = bd_sprintf("{\"model_type\": \"qwen3\", \"hidden_size\": 64, \"num_hidden_layers\": 2, "
	                        "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 16, "
	                        "\"intermediate_size\": 80, \"vocab_size\": 48, \"tie_word_embeddings\": true"
	                        "%s}",
	                        ternary ? ", \"bitdistill\": {\"weights\": \"ternary\"}" : "");
	json_t *j = bd_json_parse(text, strlen(text), "test");
	struct bd_config c = bd_config_parse(j, "test");
	struct bd_model *m = bd_model_new(&c);

	bd_config_free(&c);
	json_decref(j);
	bd_free(text);
	return m;
}

static struct bd_train job(bool distill)
{
	struct bd_train t = bd_train_defaults(distill ? "distill" : "sft");

	t.batch = 3;
	t.micro_tokens = 10;
	t.common.threads = 1;
	return t;
}

static struct bd_memory plan(const struct bd_train *t, const char *stream, bool ternary)
{
	struct bd_model *m = model(ternary);
	struct bd_feed *f = bd_feed_open(BD_PART(stream), &(struct bd_feed_plan){.count = true});
	struct bd_plan p = bd_plan_make(t, m, f);
	struct bd_memory y = bd_memory_of(t, &p, m, f);

	bd_feed_close(f);
	bd_model_free(m);
	return y;
}

/* What a step's records and one record hold, the largest of each; positions of a micro-batch. */
static void test_input(void **state)
{
	static const struct {
		const char *stream;
		size_t step, one, positions;
	} cases[] = {
	    /* ids and targets of 15 tokens; of 8 */
	    {"examples", 15 * 5, 8 * 5, 5},
	    /* the second step: 13 tokens, 6 positions */
	    {"full", 13 * 5 + 6 * V * 2, 8 * 5 + 4 * V * 2, 5},
	    {"largest", 13 * 5 + 6 * (TOP * (2 + 4) + 4), 8 * 5 + 4 * (TOP * (2 + 4) + 4), 5},
	    /* all but the first of each: 12 positions of the first step; 8 of [6 4] and [8 2] */
	    {"states", 15 * 5 + 12 * V * 2 + 15 * (Q + K + K) * 2, 8 * 5 + 7 * V * 2 + 8 * (Q + K + K) * 2,
	     8},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bd_train t = job(i > 0);
		struct bd_memory y = plan(&t, cases[i].stream, false);

		assert_int_equal(y.tokens, 10);
		assert_int_equal(y.steps, 2);
		/* the step's, that which is read and that which comes */
		assert_int_equal(y.records, cases[i].step + 3 * RECORD + 2 * (cases[i].one + RECORD));
		/* logits, the rows of h that they are made of, and the gradients of both */
		assert_int_equal(y.logits, 2 * cases[i].positions * (V + C) * 4);
		assert_int_equal(y.best, 0);
		assert_int_equal(y.evaluation, 0);
	}
}

static void test_model(void **state)
{
	/* embedding, final norm; norms, q, k, v, o, gate, up, down of a layer */
	const size_t linears = (2 * Q + 2 * K + 3 * F) * C,
	             params = V * C + C + L * (2 * C + 2 * D + linears);

	(void)state;
	for (int ternary = 0; ternary < 2; ternary++) {
		struct bd_train t = job(false);
		struct bd_memory y = plan(&t, "examples", ternary);
		/* What in floats; codes and those before, four to a byte: rows fill up to 128 columns */
		const size_t rows = Q + K + K + C + F + F + C;

		assert_int_equal(y.gradients, params * 4);
		assert_int_equal(y.moments, params * 8);
		assert_int_equal(y.quantised, ternary ? L * (linears * 4 + 2 * rows * 32) : 0);
		assert_true(y.process > 0 && y.other > 0);
	}
}

/* Everything that backward reads, and dh; with states, their gradients. */
static void test_activations(void **state)
{
	struct bd_train t = job(true);
	struct bd_model *m = model(false);
	size_t kept = bd_acts_bytes(&m->cfg, true, 10);

	(void)state;
	assert_int_equal(plan(&t, "full", false).activations, kept + 10 * C * 4);
	assert_int_equal(plan(&t, "states", false).activations, kept + 10 * (C + Q + K + K) * 4);
	t.states = "qv";
	assert_int_equal(plan(&t, "states", false).activations, kept + 10 * (C + Q + K) * 4);
	bd_model_free(m);
}

/* An evaluation takes as many records as fit into a micro-batch, and the logits of their targets. Where there
 * is only one, the room of the best model comes after it. */
static void test_evaluation(void **state)
{
	static const struct {
		int64_t micro_tokens;
		size_t tokens, positions;
	} cases[] = {{3, 6, 1}, {9, 6, 1}, {10, 10, 3}, {14, 10, 3}, {15, 15, 4}, {500, 28, 10}};
	struct bd_model *m = model(false);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bd_train t = job(false);
		size_t want = bd_acts_bytes(&m->cfg, false, cases[i].tokens) + cases[i].positions * V * 4,
		       params = m->n * 4;

		t.eval = "examples";
		t.eval_every = 1;
		t.micro_tokens = cases[i].micro_tokens;
		assert_int_equal(bd_net_run_bytes(&m->cfg, cases[i].tokens, cases[i].positions),
		                 want); /* the same from where it is computed */
		struct bd_memory y = plan(&t, "examples", false);
		assert_int_equal(y.evaluation, want);
		assert_int_equal(y.best, params);
		t.eval_every = 0;
		y = plan(&t, "examples", false);
		assert_int_equal(y.evaluation, want > params ? want - params : 0);
		assert_int_equal(y.best, params);
	}
	bd_model_free(m);
}

static void test_total(void **state)
{
	const struct bd_memory y = {.process = 1,
	                            .gradients = 20,
	                            .moments = 300,
	                            .quantised = 4000,
	                            .best = 50000,
	                            .activations = 600000,
	                            .logits = 7000000,
	                            .evaluation = 80000000,
	                            .records = 900000000,
	                            .other = 1000000000,
	                            .tokens = 5,
	                            .steps = 5};

	(void)state;
	assert_int_equal(bd_memory_total(&y), 1987654321);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_input),       cmocka_unit_test(test_model),
	    cmocka_unit_test(test_activations), cmocka_unit_test(test_evaluation),
	    cmocka_unit_test(test_total),
	};

	bd_msg_tool("test_memory");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
