/* The optimiser over a whole model: the norm, clipping, which parameters decay. AdamW: test_adamw.c. */
#include "train/optimiser.h"

#include "base/json.h"
#include "device.h"
#include "near.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct bd_optim adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .decay = 0.5};

/* Large enough for two partial sums of the norm; with gains, biases, tables and linears. */
static struct bd_model *model(void)
{
	static const char text[] =
	    "{\"model_type\": \"llama\", \"hidden_size\": 64, \"num_hidden_layers\": 2, "
	    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"intermediate_size\": 176, "
	    "\"vocab_size\": 32, \"attention_bias\": true}";
	json_t *j = bd_json_parse(text, strlen(text), "test");
	struct bd_config c = bd_config_parse(j, "test");
	struct bd_model *m = bd_model_new(&c);

	bd_model_init(m, 1);
	bd_config_free(&c);
	json_decref(j);
	return m;
}

/* grad = g at every parameter, 0 in the gaps between them; returns its norm. */
static double fill(const struct bd_model *m, float *grad, float g)
{
	double sum = 0;

	for (size_t p = 0; p < m->n_param; p++)
		for (size_t i = 0; i < m->param[p].rows * m->param[p].cols; i++) {
			grad[m->param[p].off + i] = g;
			sum += (double)g * (double)g;
		}
	return sqrt(sum);
}

static void test_norm(void **state)
{
	struct bd_model *m = model();
	struct bd_optimiser u = bd_optimiser_new(m, cpu(), &adamw, 0);
	double want = fill(m, u.grad, 0.25f);

	(void)state;
	assert_true(m->n > (1 << 16));
	assert_near1("norm", bd_optimiser_norm(&u), want, 1e-7);
	u.grad[m->param[m->n_param - 1].off] = 1000; /* in the last part */
	assert_near1("norm", bd_optimiser_norm(&u), sqrt(want * want - 0.0625 + 1e6), 1e-7);
	bd_optimiser_zero(&u);
	assert_true(bd_optimiser_norm(&u) == 0);
	bd_optimiser_free(&u);
	bd_model_free(m);
}

/* A gradient longer than `clip` is shortened to it, another is left alone: seen in the first moment. */
static void test_clip(void **state)
{
	static const struct {
		double clip, norm, scale;
	} cases[] = {
	    {0, 1000, 1}, /* off */
	    {1, 0.5, 1},  /* not lengthened */
	    {1, 1, 1},    /* just so */
	    {1, 4, 0.25}, /* a fourth of it */
	    {8, 4, 1},    {0.5, 4, 0.125},
	};
	struct bd_model *m = model();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bd_optimiser u = bd_optimiser_new(m, cpu(), &adamw, cases[i].clip);
		fill(m, u.grad, 2);
		bd_optimiser_step(&u, m->data, cases[i].norm, 0, 1);
		for (size_t p = 0; p < m->n_param; p++) {
			size_t at = m->param[p].off + m->param[p].rows * m->param[p].cols - 1;
			assert_near1("first moment", (double)u.m[at], 0.1 * 2 * cases[i].scale, 1e-6);
			assert_near1("second", (double)u.v[at], 0.05 * 4 * cases[i].scale * cases[i].scale,
			             1e-6);
		}
		assert_true(bd_optimiser_norm(&u) == 0); /* ready for the next step */
		bd_optimiser_free(&u);
	}
	bd_model_free(m);
}

/* Without a gradient nothing but the decay moves a parameter: tables and linears by lr * decay, gains and
 * biases not at all. */
static void test_decay(void **state)
{
	struct bd_model *m = model();
	struct bd_optimiser u = bd_optimiser_new(m, cpu(), &adamw, 1);
	bool seen[4] = {0};

	(void)state;
	for (size_t i = 0; i < m->n; i++)
		m->data[i] = 1;
	bd_optimiser_step(&u, m->data, 0, 0.5, 1);
	for (size_t p = 0; p < m->n_param; p++) {
		enum bd_kind kind = bd_slot_info(m->param[p].slot)->kind;
		bool decays = kind == BD_KIND_TABLE || kind == BD_KIND_LINEAR;
		size_t n = m->param[p].rows * m->param[p].cols;
		seen[kind] = true;
		for (size_t i = 0; i < n; i += n - 1)
			assert_near1("decayed", (double)m->data[m->param[p].off + i], decays ? 0.75 : 1,
			             1e-6);
	}
	assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
	bd_optimiser_free(&u);
	bd_model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_norm),
	    cmocka_unit_test(test_clip),
	    cmocka_unit_test(test_decay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
