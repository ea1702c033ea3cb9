/* Ternary block types. A row passes through c[256], one code per byte, in the order of the type. */
#include "format/gguf_ternary.h"

#include "format/gguf_type.h"
#include "machine/quant.h"

#include <string.h>

enum { CHUNK = 256 }; /* columns: a multiple of every block */

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

static void i2_s(uint8_t *out, const uint8_t *c)
{
	for (int p = 0; p < 32; p++)
		out[p] = (uint8_t)(c[p] << 6 | c[32 + p] << 4 | c[64 + p] << 2 | c[96 + p]);
}

static bool from_i2_s(uint8_t *c, const uint8_t *in)
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

static void tq2_0(uint8_t *out, const uint8_t *c)
{
	for (int m = 0; m < 64; m++)
		out[m] = join2(c + m / 32 * 128 + m % 32, 32);
}

static bool from_tq2_0(uint8_t *c, const uint8_t *in)
{
	bool good = true;

	for (int m = 0; m < 64; m++)
		good &= split2(c + m / 32 * 128 + m % 32, 32, in[m]);
	return good;
}

static void tq1_0(uint8_t *out, const uint8_t *c)
{
	for (int m = 0; m < 32; m++)
		out[m] = join3(c + m, 32, 5);
	for (int m = 0; m < 16; m++)
		out[32 + m] = join3(c + 160 + m, 16, 5);
	for (int j = 0; j < 4; j++)
		out[48 + j] = join3(c + 240 + j, 4, 4);
}

static bool from_tq1_0(uint8_t *c, const uint8_t *in)
{
	for (int m = 0; m < 32; m++)
		split3(c + m, 32, 5, in[m]);
	for (int m = 0; m < 16; m++)
		split3(c + 160 + m, 16, 5, in[32 + m]);
	for (int j = 0; j < 4; j++)
		split3(c + 240 + j, 4, 4, in[48 + j]);
	return true;
}

static void q2_0(uint8_t *out, const uint8_t *c)
{
	for (int j = 0; j < 16; j++)
		out[j] = join2(c + 4 * j, 1);
}

static bool from_q2_0(uint8_t *c, const uint8_t *in)
{
	bool good = true;

	for (int j = 0; j < 16; j++)
		good &= split2(c + 4 * j, 1, in[j]);
	return good;
}

static void iq2_bn(uint8_t *out, const uint8_t *c)
{
	for (int j = 0; j < 16; j++)
		out[j] = join2(c + j, 16);
}

static bool from_iq2_bn(uint8_t *c, const uint8_t *in)
{
	bool good = true;

	for (int j = 0; j < 16; j++)
		good &= split2(c + j, 16, in[j]);
	return good;
}

static void iq1_bn(uint8_t *out, const uint8_t *c)
{
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 3; k++)
			out[3 * i + k] = join3_low(c + 16 * i + 5 * k, 1, 5);
	out[12] = join3_low(c + 15, 16, 4);
}

static bool from_iq1_bn(uint8_t *c, const uint8_t *in)
{
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 3; k++)
			split3_low(c + 16 * i + 5 * k, 1, 5, in[3 * i + k]);
	split3_low(c + 15, 16, 4, in[12]);
	return true;
}

/* ---- rows ---- */

/* Where d is stored: nowhere, as f16 before or after the codes of each block, as f16 or f32 before the
 * row. */
enum place { NOWHERE, BLOCK_FRONT, BLOCK_BACK, ROW_F16, ROW_F32 };

static const struct layout {
	uint32_t type;
	size_t block, bytes; /* columns and bytes of codes */
	enum place d;
	void (*store)(uint8_t *out, const uint8_t *c);
	bool (*load)(uint8_t *c, const uint8_t *in);
} layouts[] = {
    {BD_GGML_I2_S, 128, 32, NOWHERE, i2_s, from_i2_s},
    {BD_GGML_TQ2_0, 256, 64, BLOCK_BACK, tq2_0, from_tq2_0},
    {BD_GGML_TQ1_0, 256, 52, BLOCK_BACK, tq1_0, from_tq1_0},
    {BD_GGML_Q2_0, 64, 16, BLOCK_FRONT, q2_0, from_q2_0},
    {BD_GGML_IQ2_BN, 64, 16, ROW_F32, iq2_bn, from_iq2_bn},
    {BD_GGML_IQ1_BN, 64, 13, ROW_F16, iq1_bn, from_iq1_bn},
};

static const struct layout *layout_of(uint32_t type)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(*layouts); i++)
		if (layouts[i].type == type)
			return &layouts[i];
	return NULL;
}

bool bd_ggml_ternary(uint32_t type)
{
	return layout_of(type) != NULL;
}

size_t bd_ggml_cols(uint32_t type, size_t cols)
{
	size_t block = bd_ggml_block(type);

	return (cols + block - 1) / block * block;
}

static uint8_t *put_f16(uint8_t *out, float d)
{
	const uint16_t half = bd_f32_to_f16(d);

	memcpy(out, &half, sizeof(half));
	return out + sizeof(half);
}

static const uint8_t *get_f16(const uint8_t *in, float *d)
{
	uint16_t half;

	memcpy(&half, in, sizeof(half));
	*d = bd_f16_to_f32(half);
	return in + sizeof(half);
}

/* c[CHUNK]: the codes of columns [at, at + CHUNK) of an I2_S row, 1 beyond its end. */
static void read_chunk(uint8_t *c, const uint8_t *codes, size_t cols, size_t at)
{
	memset(c, 1, CHUNK);
	for (size_t i = 0; i < CHUNK && at + i < cols; i += 128)
		from_i2_s(c + i, codes + (at + i) / 4);
}

void bd_ternary_store(uint32_t type, uint8_t *out, const uint8_t *codes, size_t cols, float d)
{
	const struct layout *l = layout_of(type);
	uint8_t c[CHUNK];

	if (type == BD_GGML_I2_S) {
		memcpy(out, codes, bd_ternary_stride(cols));
		return;
	}
	if (l->d == ROW_F16)
		out = put_f16(out, d);
	if (l->d == ROW_F32) {
		memcpy(out, &d, sizeof(d));
		out += sizeof(d);
	}
	for (size_t at = 0; at < cols; at += CHUNK) {
		read_chunk(c, codes, cols, at);
		for (size_t i = 0; i < CHUNK && at + i < cols; i += l->block) {
			if (l->d == BLOCK_FRONT)
				out = put_f16(out, d);
			l->store(out, c + i);
			out += l->bytes;
			if (l->d == BLOCK_BACK)
				out = put_f16(out, d);
		}
	}
}

bool bd_ternary_load(uint32_t type, uint8_t *codes, const uint8_t *in, size_t cols, float *d)
{
	const struct layout *l = layout_of(type);
	uint8_t c[CHUNK];
	float own = 1.0f; /* of this block */
	bool good = true;

	*d = 1.0f;
	if (l->d == ROW_F16)
		in = get_f16(in, d);
	if (l->d == ROW_F32) {
		memcpy(d, in, sizeof(*d));
		in += sizeof(*d);
	}
	for (size_t at = 0; at < cols; at += CHUNK) {
		memset(c, 1, CHUNK);
		for (size_t i = 0; i < CHUNK && at + i < cols; i += l->block) {
			if (l->d == BLOCK_FRONT)
				in = get_f16(in, &own);
			good &= l->load(c + i, in);
			in += l->bytes;
			if (l->d == BLOCK_BACK)
				in = get_f16(in, &own);
			if (l->d == BLOCK_FRONT || l->d == BLOCK_BACK) {
				*d = at + i == 0 ? own : *d;
				good &= own == *d;
			}
		}
		if (cols - at < CHUNK)
			memset(c + (cols - at), 1, CHUNK - (cols - at));
		for (size_t i = 0; i < CHUNK && at + i < cols; i += 128)
			i2_s(codes + (at + i) / 4, c + i);
	}
	return good;
}
