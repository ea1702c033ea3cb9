/* The tensor types of ggml that are known here: sizes, and rows as floats. */
#include "gguf.h"

#include "msg.h"
#include "quant.h"

#include <string.h>

#define I2_S_BLOCK 128 /* columns */
#define I2_S_TAIL 32   /* bytes behind the codes: the scale and zeros */

static const struct {
	const char *name;
	size_t block, bytes; /* weights and bytes of a block */
} ggml[] = {
    [BD_GGML_F32] = {"F32", 1, 4},         [BD_GGML_F16] = {"F16", 1, 2},         [BD_GGML_Q8_0] = {"Q8_0", 32, 34},
    [BD_GGML_TQ1_0] = {"TQ1_0", 256, 54},  [BD_GGML_TQ2_0] = {"TQ2_0", 256, 66},
    [BD_GGML_I2_S] = {"I2_S", I2_S_BLOCK, I2_S_BLOCK / 4},
};

static bool known(uint32_t type)
{
	return type < sizeof(ggml) / sizeof(ggml[0]) && ggml[type].name != NULL;
}

size_t bd_ggml_block(uint32_t type)
{
	return known(type) ? ggml[type].block : 0;
}

const char *bd_ggml_name(uint32_t type)
{
	return known(type) ? ggml[type].name : "unknown";
}

size_t bd_ggml_bytes(uint32_t type, size_t rows, size_t cols)
{
	size_t bytes;

	if (!known(type) || cols % ggml[type].block != 0 ||
	    __builtin_mul_overflow(cols / ggml[type].block * ggml[type].bytes, rows, &bytes) || bytes > INT64_MAX)
		return 0;
	return bytes + (type == BD_GGML_I2_S ? I2_S_TAIL : 0);
}

static void tq2_0_row(const uint8_t *p, size_t cols, float *out)
{
	uint8_t codes[64];

	for (size_t c = 0; c < cols; c += 256) {
		float d = bd_tq2_0_to_i2_s(codes, p + c / 256 * 66, 256);
		bd_ternary_unpack(out + c, codes, 1, 256, d);
	}
}

void bd_gguf_f32(const struct bd_gguf_tensor *t, size_t r, float *out)
{
	const uint8_t *p = t->data;
	size_t stride = known(t->type) ? t->cols / ggml[t->type].block * ggml[t->type].bytes : 0;
	float scale;

	p += r * stride;
	switch (t->type) {
	case BD_GGML_F32:
		memcpy(out, p, t->cols * sizeof(*out));
		break;
	case BD_GGML_F16:
		bd_f32_row(out, (const uint16_t *)(const void *)p, t->cols);
		break;
	case BD_GGML_Q8_0:
		bd_q8_0_unpack(out, p, t->cols);
		break;
	case BD_GGML_TQ2_0:
		tq2_0_row(p, t->cols, out);
		break;
	case BD_GGML_I2_S:
		memcpy(&scale, (const uint8_t *)t->data + t->rows * stride, sizeof(scale));
		bd_ternary_unpack(out, p, 1, t->cols, scale);
		break;
	default:
		bd_die(BD_DATA, "tensor %s: values of type %s (%u) are not read", t->name, bd_ggml_name(t->type), t->type);
	}
}
