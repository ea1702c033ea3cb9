/* The quantization_config of transformers' BitNet and its packed weights. */
#include "model/hf_quant.h"

#include "base/msg.h"
#include "machine/quant.h"

#include <inttypes.h>
#include <string.h>

/* Modules that transformers is told not to quantise: the head is one of them in any case. */
static void check_skipped(const json_t *list, const char *name)
{
	const json_t *module;
	size_t i;

	json_array_foreach(list, i, module)
		if (!json_is_string(module) || strcmp(json_string_value(module), "lm_head") != 0)
			bd_die(BD_DATA,
			       "%s: quantization_config excludes modules other than lm_head, which is not "
			       "supported",
			       name);
}

/* The models that 1bitLLM published before transformers knew BitNet (bitnet_b1_58-large, -xl, -3B): a class
 * of their own, whose BitLinear quantises as quant.h does; its weight_bits of 1 are ternary. */
static bool is_1bitllm(const json_t *config, const char *name)
{
	const char *class = json_string_value(json_array_get(bd_json_get(config, "architectures"), 0));
	int64_t weight = bd_json_int(config, "weight_bits", 1, INT32_MIN, INT32_MAX, name),
	        input = bd_json_int(config, "input_bits", 8, INT32_MIN, INT32_MAX, name);

	if (weight != 1 || input != 8)
		bd_die(BD_DATA,
		       "%s: weight_bits %" PRId64 " with input_bits %" PRId64
		       " is not supported, only 1 (ternary weights) with 8",
		       name, weight, input);
	return bd_json_get(config, "weight_bits") != NULL ||
	       (class != NULL && strcmp(class, "BitnetForCausalLM") == 0);
}

struct bd_hf_quant bd_hf_quant_parse(const json_t *config, const char *name)
{
	const json_t *q = bd_json_get(config, "quantization_config");
	struct bd_hf_quant h = {.ternary = q == NULL && is_1bitllm(config, name)};

	if (q == NULL)
		return h;
	const char *method = bd_json_str(q, "quant_method", "?", name),
	           *class = bd_json_str(q, "linear_class", "bitlinear", name);
	const char *mode = bd_json_str(q, "quantization_mode", "offline", name);
	if (strcmp(method, "bitnet") != 0)
		bd_die(
		    BD_DATA,
		    "%s: weights quantised by \"%s\" are not supported; start from the full-precision model",
		    name, method);
	if (strcmp(class, "bitlinear") != 0 && strcmp(class, "autobitlinear") != 0)
		bd_die(BD_DATA,
		       "%s: quantization_config: linear_class \"%s\" is neither bitlinear nor autobitlinear",
		       name, class);
	if (strcmp(mode, "online") != 0 && strcmp(mode, "offline") != 0)
		bd_die(BD_DATA,
		       "%s: quantization_config: quantization_mode \"%s\" is neither online nor offline",
		       name, mode);
	check_skipped(bd_json_get(q, "modules_to_not_convert"), name);
	h.ternary = true;
	h.inverse = strcmp(class, "bitlinear") == 0;
	h.packed = h.inverse || strcmp(mode, "offline") == 0; /* bitlinear has no other mode */
	h.rms_norm = bd_json_bool(q, "use_rms_norm", false, name);
	if (h.rms_norm &&
	    bd_json_real(q, "rms_norm_eps", 1e-6, name) != bd_json_real(config, "rms_norm_eps", 1e-6, name))
		bd_die(BD_DATA,
		       "%s: quantization_config: rms_norm_eps differs from the model's; only one eps for all "
		       "norms is supported",
		       name);
	return h;
}

json_t *bd_hf_quant_json(const struct bd_hf_quant *q, double eps)
{
	return json_pack("{s:s, s:s, s:s, s:[s], s:b, s:f}", "quant_method", "bitnet", "linear_class",
	                 q->inverse ? "bitlinear" : "autobitlinear", "quantization_mode",
	                 q->packed ? "offline" : "online", "modules_to_not_convert", "lm_head",
	                 "use_rms_norm", q->rms_norm, "rms_norm_eps", eps);
}

/* Column k of a packed row of quant.h is byte k / 128 * 32 + k % 32, at this bit. */
static unsigned shift_of(size_t k)
{
	return (unsigned)(6 - 2 * (k % 128 / 32));
}

static size_t byte_of(size_t k)
{
	return k / 128 * 32 + k % 32;
}

void bd_hf_pack(uint8_t *out, const uint8_t *codes, size_t rows, size_t cols)
{
	const size_t stride = bd_ternary_stride(cols), n = rows / 4;

	memset(out, 0, n * cols);
	for (size_t r = 0; r < n; r++, out += cols)
		for (unsigned i = 0; i < 4; i++) {
			const uint8_t *row = codes + (i * n + r) * stride;

			for (size_t k = 0; k < cols; k++)
				out[k] |= (uint8_t)((row[byte_of(k)] >> shift_of(k) & 3) << 2 * i);
		}
}

bool bd_hf_unpack(uint8_t *codes, const uint8_t *in, size_t rows, size_t cols)
{
	const size_t stride = bd_ternary_stride(cols), n = rows / 4;
	unsigned bad = 0;

	memset(codes, 0, rows * stride);
	for (size_t r = 0; r < n; r++, in += cols)
		for (unsigned i = 0; i < 4; i++) {
			uint8_t *row = codes + (i * n + r) * stride;

			for (size_t k = 0; k < stride * 4; k++) {
				/* padding has weight 0 */
				unsigned c = k < cols ? (unsigned)in[k] >> 2 * i & 3u : 1u;

				bad |= c & c >> 1;
				row[byte_of(k)] |= (uint8_t)(c << shift_of(k));
			}
		}
	return !(bad & 1);
}
