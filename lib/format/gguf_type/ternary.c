/* Blocks of ternary codes. Fields of two bits are stored lowest first, trits of a byte v = sum c_n 3^n as
 * ceil(256 v / 243), so that a multiplication by 3^n mod 256 brings a trit to the top.
 *
 *	I2_S    128 columns in 32 bytes, see quant.h; f32 scale after the tensor
 *	TQ2_0   256 in 66: u8 qs[64], f16 d. In half h, qs[32h + m] holds columns 128h + m + 32{0,1,2,3}
 *	TQ1_0   256 in 54: u8 qs[48], u8 qh[4], f16 d; most significant trit first: qs[m] holds
 *	        m + 32{0..4} for m < 32, qs[32 + m] holds 160 + m + 16{0..4}; qh[j] holds 240 + j + 4{0..3},
 *	        its fifth trit is 0
 *	Q2_0    64 in 18: f16 d, u8 qs[16], column j in bits 2(j mod 4) of qs[j / 4]
 *	IQ2_BN  a row: f32 d, then 64 in 16: byte j holds j + 16{0,1,2,3}
 *	IQ1_BN  a row: f16 d, then 64 in 13: byte 3i + k holds 16i + 5k + {0..4}, the last byte
 *	        holds 16{0..3} + 15
 * (ggml's ggml-common.h; Microsoft's BitNet; ik_llama.cpp) */
#include "format/gguf_type.h"

/* ---- two bits a code ---- */

/* Four codes, `step` apart, lowest field first; split2: false if one of them is 3. */
static uint8_t join2(const uint8_t *c, int step)
{
	return (uint8_t)(c[0] | c[step] << 2 | c[2 * step] << 4 | c[3 * step] << 6);
}

static bool split2(uint8_t *c, int step, uint8_t b)
{
	for (int n = 0; n < 4; n++)
		c[n * step] = b >> 2 * n & 3;
	return (b & b >> 1 & 0x55) == 0;
}

/* ---- five trits a byte ---- */

static const uint8_t pow3[5] = {1, 3, 9, 27, 81};

/* v < 243 as a fraction of 256, rounded up. */
static uint8_t fraction(unsigned v)
{
	return (uint8_t)((v * 256 + 242) / 243);
}

/* Trit n of a byte, n = 0 the most significant. */
static uint8_t trit(uint8_t b, int n)
{
	return (uint8_t)((uint8_t)(b * pow3[n]) * 3 >> 8);
}

/* n codes, `step` apart, the first one most significant; missing ones, up to five, are 0. */
static uint8_t join3(const uint8_t *c, int step, int n)
{
	unsigned v = 0;

	for (int i = 0; i < 5; i++)
		v = 3 * v + (i < n ? c[i * step] : 0);
	return fraction(v);
}

static void split3(uint8_t *c, int step, int n, uint8_t b)
{
	for (int i = 0; i < n; i++)
		c[i * step] = trit(b, i);
}

/* The same, the first one least significant. */
static uint8_t join3_low(const uint8_t *c, int step, int n)
{
	unsigned v = 0;

	for (int i = 0; i < n; i++)
		v += c[i * step] * (unsigned)pow3[i];
	return fraction(v);
}

static void split3_low(uint8_t *c, int step, int n, uint8_t b)
{
	for (int i = 0; i < n; i++)
		c[i * step] = trit(b, 4 - i);
}

/* ---- blocks ---- */

void bd_i2_s_store(uint8_t *out, const uint8_t *c)
{
	for (int p = 0; p < 32; p++)
		out[p] = (uint8_t)(c[p] << 6 | c[32 + p] << 4 | c[64 + p] << 2 | c[96 + p]);
}

bool bd_i2_s_load(uint8_t *c, const uint8_t *in)
{
	unsigned bad = 0;

	for (int p = 0; p < 32; p++) {
		c[p] = in[p] >> 6;
		c[32 + p] = in[p] >> 4 & 3;
		c[64 + p] = in[p] >> 2 & 3;
		c[96 + p] = in[p] & 3;
		bad |= in[p] & in[p] >> 1 & 0x55u;
	}
	return bad == 0;
}

void bd_tq2_0_store(uint8_t *out, const uint8_t *c)
{
	for (int m = 0; m < 64; m++)
		out[m] = join2(c + m / 32 * 128 + m % 32, 32);
}

bool bd_tq2_0_load(uint8_t *c, const uint8_t *in)
{
	bool good = true;

	for (int m = 0; m < 64; m++)
		good &= split2(c + m / 32 * 128 + m % 32, 32, in[m]);
	return good;
}

void bd_tq1_0_store(uint8_t *out, const uint8_t *c)
{
	for (int m = 0; m < 32; m++)
		out[m] = join3(c + m, 32, 5);
	for (int m = 0; m < 16; m++)
		out[32 + m] = join3(c + 160 + m, 16, 5);
	for (int j = 0; j < 4; j++)
		out[48 + j] = join3(c + 240 + j, 4, 4);
}

bool bd_tq1_0_load(uint8_t *c, const uint8_t *in)
{
	for (int m = 0; m < 32; m++)
		split3(c + m, 32, 5, in[m]);
	for (int m = 0; m < 16; m++)
		split3(c + 160 + m, 16, 5, in[32 + m]);
	for (int j = 0; j < 4; j++)
		split3(c + 240 + j, 4, 4, in[48 + j]);
	return true;
}

void bd_q2_0_store(uint8_t *out, const uint8_t *c)
{
	for (int j = 0; j < 16; j++)
		out[j] = join2(c + 4 * j, 1);
}

bool bd_q2_0_load(uint8_t *c, const uint8_t *in)
{
	bool good = true;

	for (int j = 0; j < 16; j++)
		good &= split2(c + 4 * j, 1, in[j]);
	return good;
}

void bd_iq2_bn_store(uint8_t *out, const uint8_t *c)
{
	for (int j = 0; j < 16; j++)
		out[j] = join2(c + j, 16);
}

bool bd_iq2_bn_load(uint8_t *c, const uint8_t *in)
{
	bool good = true;

	for (int j = 0; j < 16; j++)
		good &= split2(c + j, 16, in[j]);
	return good;
}

void bd_iq1_bn_store(uint8_t *out, const uint8_t *c)
{
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 3; k++)
			out[3 * i + k] = join3_low(c + 16 * i + 5 * k, 1, 5);
	out[12] = join3_low(c + 15, 16, 4);
}

bool bd_iq1_bn_load(uint8_t *c, const uint8_t *in)
{
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 3; k++)
			split3_low(c + 16 * i + 5 * k, 1, 5, in[3 * i + k]);
	split3_low(c + 15, 16, 4, in[12]);
	return true;
}
