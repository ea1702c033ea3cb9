/* A tensor's rows as floats, whatever their type. */
#include "base/mem.h"
#include "base/msg.h"
#include "format/gguf.h"
#include "format/gguf_table.h"
#include "format/gguf_ternary.h"
#include "machine/quant.h"

static void ternary_row(const struct bd_gguf_tensor *t, const uint8_t *p, float *out)
{
	uint8_t *codes = bd_alloc(bd_ternary_stride(t->cols), 1);
	float d;

	if (!bd_ternary_load(t->type, codes, p, t->cols, &d))
		bd_die(BD_DATA, "tensor %s: a row of %s has a code other than -1, 0 and 1, or several scales",
		       t->name, bd_ggml_name(t->type));
	if (bd_ggml(t->type)->d == BD_TAIL)
		d = bd_ternary_tail(t->data, t->bytes);
	bd_ternary_unpack(out, codes, 1, t->cols, d);
	bd_free(codes);
}

void bd_gguf_f32(const struct bd_gguf_tensor *t, size_t r, float *out)
{
	const uint8_t *p = (const uint8_t *)t->data + r * bd_ggml_stride(t->type, t->cols);

	if (bd_ggml_table(t->type))
		bd_table_load(t->type, out, p, t->cols);
	else if (bd_ggml_ternary(t->type))
		ternary_row(t, p, out);
	else
		bd_die(BD_DATA, "tensor %s: values of type %u are not supported", t->name, t->type);
}
