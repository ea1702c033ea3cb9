/* Linear layers: dense ones through gemm.h, ternary ones through the integer kernels. */
#include "math/op_linear.h"

#include "machine/gemm.h"
#include "machine/quant.h"

#include <string.h>

void bd_linear_forward(struct bd_par *par, float *y, const float *x, const float *w, const float *bias,
                       size_t T, size_t N, size_t K)
{
	for (size_t t = 0; bias != NULL && t < T; t++)
		memcpy(y + t * N, bias, N * sizeof(*y));
	bd_gemm(par, BD_N, BD_T, T, N, K, 1, x, K, w, K, bias != NULL ? 1 : 0, y, N);
}

void bd_linear_backward(struct bd_par *par, float *dx, float beta, float *dw, float *dbias, const float *dy,
                        const float *x, const float *w, size_t T, size_t N, size_t K)
{
	if (dx != NULL)
		bd_gemm(par, BD_N, BD_N, T, K, N, 1, dy, N, w, K, beta, dx, K);
	bd_gemm(par, BD_T, BD_N, N, K, T, 1, dy, N, x, K, 1, dw, K);
	for (size_t t = 0; dbias != NULL && t < T; t++)
		for (size_t n = 0; n < N; n++)
			dbias[n] += dy[t * N + n];
}

void bd_int8_forward(const struct bd_kern *k, struct bd_int8 *q, const float *x, size_t T, size_t K)
{
	size_t kpad = bd_ternary_cols(K);

	for (size_t t = 0; t < T; t++)
		q->step[t] = k->quant_row(q->q + t * kpad, &q->sum[t], x + t * K, K, kpad);
}

void bd_int8_dequant(float *x, const struct bd_int8 *q, size_t T, size_t K)
{
	size_t kpad = bd_ternary_cols(K);

	for (size_t t = 0; t < T; t++)
		for (size_t i = 0; i < K; i++)
			x[t * K + i] = (float)q->q[t * kpad + i] * q->step[t];
}

struct ternary {
	const struct bd_kern *k;
	float *y;
	const struct bd_int8 *q;
	const uint8_t *codes;
	float scale;
	const float *bias;
	size_t T, N, K;
};

/* Tokens [t0,t1), output rows [n0,n1). */
static void ternary_block(const struct ternary *j, size_t t0, size_t t1, size_t n0, size_t n1)
{
	size_t kpad = bd_ternary_cols(j->K), N = j->N;

	j->k->ternary(j->y + t0 * N + n0, N, j->q->q + t0 * kpad, j->q->step + t0, j->q->sum + t0, t1 - t0,
	              j->codes + n0 * bd_ternary_stride(j->K), n1 - n0, kpad, j->scale);
	for (size_t t = t0; j->bias != NULL && t < t1; t++)
		for (size_t n = n0; n < n1; n++)
			j->y[t * N + n] += j->bias[n];
}

static void ternary_rows(void *ctx, size_t n0, size_t n1, int slice)
{
	const struct ternary *j = ctx;

	(void)slice;
	ternary_block(j, 0, j->T, n0, n1);
}

static void ternary_tokens(void *ctx, size_t t0, size_t t1, int slice)
{
	const struct ternary *j = ctx;

	(void)slice;
	ternary_block(j, t0, t1, 0, j->N);
}

void bd_ternary_forward(struct bd_par *par, const struct bd_kern *k, float *y, const struct bd_int8 *q,
                        const uint8_t *codes, float scale, const float *bias, size_t T, size_t N, size_t K)
{
	struct ternary j = {k, y, q, codes, scale, bias, T, N, K};

	/* 32 tokens a thread amortise reading all the codes; fewer share them out. */
	if (T >= 32 * (size_t)bd_par_threads(par))
		bd_par_for(par, T, ternary_tokens, &j);
	else
		bd_par_for(par, N, ternary_rows, &j);
}
