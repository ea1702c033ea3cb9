/* Linear layers: dense ones through gemm.h, ternary ones through the integer kernels. */
#include "math/op_linear.h"

#include <string.h>

#include "machine/gemm.h"
#include "machine/quant.h"

/* ---- dense ---- */

/* Rows [n0,n1) of weights of two bytes. A few tokens read them as they are stored; for more, blocks of rows
 * that fit into the second-level cache are converted. */
static void half_rows(struct bd_cpu *cpu, const void *operands, size_t n0, size_t n1, int slice)
{
	enum { FEW = 4, BLOCK = 262144 }; /* floats */
	const struct bd_dense *o = operands;
	const struct bd_kern *kern = cpu->kern;
	size_t T = o->T, N = o->N, K = o->K, step = K < BLOCK ? BLOCK / K : 1;
	float (*dot)(const float *, const uint16_t *, size_t) = o->bf16 ? kern->dot_bf16 : kern->dot_f16, *w;

	if (T < FEW) {
		for (size_t n = n0; n < n1; n++)
			for (size_t t = 0; t < T; t++)
				o->y[t * N + n] = dot(o->x + t * K, o->half + n * K, K) +
				                  (o->bias != NULL ? o->bias[n] : 0);
		return;
	}
	w = bd_cpu_scratch(cpu, slice, step * K);
	for (size_t n = n0, m; n < n1; n += m) {
		m = n1 - n < step ? n1 - n : step;
		(o->bf16 ? kern->wide_bf16 : kern->wide_f16)(w, o->half + n * K, m * K);
		bd_gemm(NULL, &(struct bd_product){BD_N, BD_T, T, m, K, 1, o->x, K, w, K,
		                                   o->bias != NULL ? 1 : 0, o->y + n, N});
	}
}

static void dense_forward(struct bd_cpu *cpu, const void *operands)
{
	const struct bd_dense *o = operands;
	size_t T = o->T, N = o->N, K = o->K;

	for (size_t t = 0; o->bias != NULL && t < T; t++)
		memcpy(o->y + t * N, o->bias, N * sizeof(*o->y));
	if (o->w == NULL) {
		bd_cpu_for(cpu, N, half_rows, o);
		return;
	}
	bd_gemm(cpu->par, &(struct bd_product){BD_N, BD_T, T, N, K, 1, o->x, K, o->w, K,
	                                       o->bias != NULL ? 1 : 0, o->y, N});
}

static void dense_backward(struct bd_cpu *cpu, const void *operands)
{
	const struct bd_dense_grad *o = operands;
	size_t T = o->T, N = o->N, K = o->K;

	if (o->dx != NULL)
		bd_gemm(cpu->par,
		        &(struct bd_product){BD_N, BD_N, T, K, N, 1, o->dy, N, o->w, K, o->beta, o->dx, K});
	bd_gemm(cpu->par, &(struct bd_product){BD_T, BD_N, N, K, T, 1, o->dy, N, o->x, K, 1, o->dw, K});
	for (size_t t = 0; o->dbias != NULL && t < T; t++)
		for (size_t n = 0; n < N; n++)
			o->dbias[n] += o->dy[t * N + n];
}

/* ---- int8 activations ---- */

static void quantise_tokens(struct bd_cpu *cpu, const void *operands, size_t t0, size_t t1, int slice)
{
	const struct bd_quantise *o = operands;
	size_t kpad = bd_ternary_cols(o->K);

	(void)slice;
	for (size_t t = t0; t < t1; t++)
		o->q.step[t] =
		    cpu->kern->quant_row(o->q.q + t * kpad, &o->q.sum[t], o->x + t * o->K, o->K, kpad);
}

static void int8_forward(struct bd_cpu *cpu, const void *operands)
{
	bd_cpu_for(cpu, ((const struct bd_quantise *)operands)->T, quantise_tokens, operands);
}

static void dequant_tokens(struct bd_cpu *cpu, const void *operands, size_t t0, size_t t1, int slice)
{
	const struct bd_dequantise *o = operands;
	size_t kpad = bd_ternary_cols(o->K);

	(void)cpu, (void)slice;
	for (size_t t = t0; t < t1; t++)
		for (size_t i = 0; i < o->K; i++)
			o->x[t * o->K + i] = (float)o->q.q[t * kpad + i] * o->q.step[t];
}

static void int8_dequant(struct bd_cpu *cpu, const void *operands)
{
	bd_cpu_for(cpu, ((const struct bd_dequantise *)operands)->T, dequant_tokens, operands);
}

/* ---- ternary weights ---- */

/* Tokens [t0,t1), output rows [n0,n1). */
static void ternary_block(const struct bd_kern *kern, const struct bd_ternary *o, size_t t0, size_t t1,
                          size_t n0, size_t n1)
{
	size_t kpad = bd_ternary_cols(o->K), N = o->N;

	kern->ternary(&(struct bd_kern_product){
	    o->y + t0 * N + n0, N, o->q.q + t0 * kpad, o->q.step + t0, o->q.sum + t0, t1 - t0,
	    o->codes + n0 * bd_ternary_stride(o->K), n1 - n0, kpad, o->scale});
	for (size_t t = t0; o->bias != NULL && t < t1; t++)
		for (size_t n = n0; n < n1; n++)
			o->y[t * N + n] += o->bias[n];
}

static void ternary_rows(struct bd_cpu *cpu, const void *operands, size_t n0, size_t n1, int slice)
{
	(void)slice;
	ternary_block(cpu->kern, operands, 0, ((const struct bd_ternary *)operands)->T, n0, n1);
}

static void ternary_tokens(struct bd_cpu *cpu, const void *operands, size_t t0, size_t t1, int slice)
{
	(void)slice;
	ternary_block(cpu->kern, operands, t0, t1, 0, ((const struct bd_ternary *)operands)->N);
}

/* With 32 tokens a thread, every thread may well read all the codes; with fewer, the threads divide the
 * codes. */
static void ternary_forward(struct bd_cpu *cpu, const void *operands)
{
	const struct bd_ternary *o = operands;

	if (o->T >= 32 * (size_t)bd_par_threads(cpu->par))
		bd_cpu_for(cpu, o->T, ternary_tokens, o);
	else
		bd_cpu_for_work(cpu, o->N, o->T * o->N * o->K / 4, ternary_rows, o); /* of bytes */
}

static void ternarise_items(struct bd_cpu *cpu, const void *operands, size_t begin, size_t end, int slice)
{
	const struct bd_ternarise *o = operands;

	(void)cpu, (void)slice;
	for (size_t i = begin; i < end; i++) {
		const struct bd_ternarised *x = &o->item[i];

		*x->scale = bd_absmean(x->w, x->N, x->K);
		bd_ternary_pack(x->codes, x->w, x->N, x->K, *x->scale);
		if (x->what != NULL)
			bd_ternary_unpack(x->what, x->codes, x->N, x->K, *x->scale);
	}
}

static void ternarise(struct bd_cpu *cpu, const void *operands)
{
	bd_cpu_for(cpu, ((const struct bd_ternarise *)operands)->n, ternarise_items, operands);
}

/* ---- statistics ---- */

/* 2-bit fields that differ. */
static uint64_t differ(const uint8_t *a, const uint8_t *b, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned x = a[i] ^ b[i];

		sum += (uint64_t)__builtin_popcount((x | x >> 1) & 0x55);
	}
	return sum;
}

static void look_items(struct bd_cpu *cpu, const void *operands, size_t begin, size_t end, int slice)
{
	const struct bd_code_changes *o = operands;

	(void)cpu, (void)slice;
	for (size_t i = begin; i < end; i++) {
		struct bd_code_change *x = &o->item[i];
		size_t n = x->N * bd_ternary_stride(x->K);

		x->flips = differ(x->before, x->codes, n);
		bd_ternary_count(x->codes, x->N, x->K, x->count);
		memcpy(x->before, x->codes, n);
	}
}

static void code_look(struct bd_cpu *cpu, const void *operands)
{
	bd_cpu_for(cpu, ((const struct bd_code_changes *)operands)->n, look_items, operands);
}

const struct bd_op bd_op_dense_forward = {"dense_forward", dense_forward},
                   bd_op_dense_backward = {"dense_backward", dense_backward},
                   bd_op_int8_forward = {"int8_forward", int8_forward},
                   bd_op_int8_dequant = {"int8_dequant", int8_dequant},
                   bd_op_ternary_forward = {"ternary_forward", ternary_forward},
                   bd_op_ternarise = {"ternarise", ternarise}, bd_op_code_look = {"code_look", code_look};

void bd_dense_forward(struct bd_dev *dev, const struct bd_dense *o)
{
	bd_dev_run(dev, &bd_op_dense_forward, o);
}

void bd_dense_backward(struct bd_dev *dev, const struct bd_dense_grad *o)
{
	bd_dev_run(dev, &bd_op_dense_backward, o);
}

void bd_int8_forward(struct bd_dev *dev, const struct bd_quantise *o)
{
	bd_dev_run(dev, &bd_op_int8_forward, o);
}

void bd_int8_dequant(struct bd_dev *dev, const struct bd_dequantise *o)
{
	bd_dev_run(dev, &bd_op_int8_dequant, o);
}

void bd_ternary_forward(struct bd_dev *dev, const struct bd_ternary *o)
{
	bd_dev_run(dev, &bd_op_ternary_forward, o);
}

void bd_ternarise(struct bd_dev *dev, const struct bd_ternarise *o)
{
	bd_dev_run(dev, &bd_op_ternarise, o);
}

void bd_code_look(struct bd_dev *dev, const struct bd_code_changes *o)
{
	bd_dev_run(dev, &bd_op_code_look, o);
}
