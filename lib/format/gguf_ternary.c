/* Rows of ternary codes. A row passes through c[256], one code per byte, in the order of the type. */
#include "format/gguf_ternary.h"

#include "machine/quant.h"

#include <string.h>

enum { CHUNK = 256 }; /* columns: a multiple of every block */

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
		bd_i2_s_load(c + i, codes + (at + i) / 4);
}

void bd_ternary_store(uint32_t type, uint8_t *out, const uint8_t *codes, size_t cols, float d)
{
	const struct bd_ggml *t = bd_ggml(type);
	const size_t bytes = bd_ggml_code_bytes(type);
	uint8_t c[CHUNK];

	if (type == BD_GGML_I2_S) {
		memcpy(out, codes, bd_ternary_stride(cols));
		return;
	}
	if (t->d == BD_ROW_F16)
		out = put_f16(out, d);
	if (t->d == BD_ROW_F32) {
		memcpy(out, &d, sizeof(d));
		out += sizeof(d);
	}
	for (size_t at = 0; at < cols; at += CHUNK) {
		read_chunk(c, codes, cols, at);
		for (size_t i = 0; i < CHUNK && at + i < cols; i += t->block) {
			if (t->d == BD_BLOCK_FRONT)
				out = put_f16(out, d);
			t->store(out, c + i);
			out += bytes;
			if (t->d == BD_BLOCK_BACK)
				out = put_f16(out, d);
		}
	}
}

bool bd_ternary_load(uint32_t type, uint8_t *codes, const uint8_t *in, size_t cols, float *d)
{
	const struct bd_ggml *t = bd_ggml(type);
	const size_t bytes = bd_ggml_code_bytes(type);
	uint8_t c[CHUNK];
	float own = 1.0f; /* of this block */
	bool good = true;

	*d = 1.0f;
	if (t->d == BD_ROW_F16)
		in = get_f16(in, d);
	if (t->d == BD_ROW_F32) {
		memcpy(d, in, sizeof(*d));
		in += sizeof(*d);
	}
	for (size_t at = 0; at < cols; at += CHUNK) {
		memset(c, 1, CHUNK);
		for (size_t i = 0; i < CHUNK && at + i < cols; i += t->block) {
			if (t->d == BD_BLOCK_FRONT)
				in = get_f16(in, &own);
			good &= t->load(c + i, in);
			in += bytes;
			if (t->d == BD_BLOCK_BACK)
				in = get_f16(in, &own);
			if (t->d == BD_BLOCK_FRONT || t->d == BD_BLOCK_BACK) {
				*d = at + i == 0 ? own : *d;
				good &= own == *d;
			}
		}
		if (cols - at < CHUNK)
			memset(c + (cols - at), 1, CHUNK - (cols - at));
		for (size_t i = 0; i < CHUNK && at + i < cols; i += 128)
			bd_i2_s_store(codes + (at + i) / 4, c + i);
	}
	return good;
}

bool bd_i2_s_valid(const uint8_t *p, size_t n)
{
	uint64_t w, bad = 0;
	size_t i = 0;

	for (; i + sizeof(w) <= n; i += sizeof(w)) {
		memcpy(&w, p + i, sizeof(w));
		bad |= w & w >> 1 & UINT64_C(0x5555555555555555);
	}
	for (; i < n; i++)
		bad |= p[i] & p[i] >> 1 & 0x55u;
	return bad == 0;
}

float bd_ternary_tail(const void *data, size_t bytes)
{
	float d;

	memcpy(&d, (const uint8_t *)data + bytes - BD_TAIL_BYTES, sizeof(d));
	return d;
}

void bd_ternary_put_tail(uint8_t out[BD_TAIL_BYTES], float d)
{
	memset(out, 0, BD_TAIL_BYTES);
	memcpy(out, &d, sizeof(d));
}
