/* transformers' format of a ternary model: the "quantization_config" of config.json with "quant_method":
 * "bitnet" (BitNetQuantConfig), and the layout of its packed weights (integrations/bitnet.py). Also 1bitLLM's
 * older models, which have "weight_bits": 1 and masters instead. */
#ifndef BD_HF_QUANT_H
#define BD_HF_QUANT_H

#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bd_hf_quant {
	bool ternary; /* the config has one, or is 1bitLLM's: linears are ternary x int8 */
	/* "offline": codes and weight_scale instead of weights; else masters, quantised on the fly */
	bool packed;
	bool inverse;  /* weight_scale [1] is 1 / D ("bitlinear"); else D ("autobitlinear") */
	bool rms_norm; /* an RMSNorm on the input of every linear */
};
/* Of a config.json; another quant_method, an eps other than rms_norm_eps or excluded linears die BD_DATA. */
struct bd_hf_quant bd_hf_quant_parse(const json_t *config, const char *name);
/* The reverse; caller owns. */
json_t *bd_hf_quant_json(const struct bd_hf_quant *q, double eps);

/* Packed weights: uint8 [rows / 4, cols], bits 2i..2i+1 of byte (r, k) hold the code + 1 of W[i * rows / 4 +
 * r, k]. From and to the codes [rows, bd_ternary_stride(cols)] of quant.h; rows must be a multiple of 4.
 * False: there is a code 3, which is not ternary. */
void bd_hf_pack(uint8_t *out, const uint8_t *codes, size_t rows, size_t cols);
bool bd_hf_unpack(uint8_t *codes, const uint8_t *in, size_t rows, size_t cols);

#endif
