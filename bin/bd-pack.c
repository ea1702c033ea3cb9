/* bd-pack: a trained ternary model directory becomes one packed GGUF file, and back. */
#include "msg.h"
#include "opt.h"
#include "pack.h"
#include "packed.h"

int main(int argc, char **argv)
{
	static const enum bd_ggml_type types[] = {BD_GGML_I2_S, BD_GGML_TQ2_0};
	static const enum bd_ggml_type embds[] = {BD_GGML_F32, BD_GGML_F16, BD_GGML_Q8_0};
	static const enum bd_dtype dtypes[] = {BD_F32, BD_BF16, BD_F16};
	struct bd_pack_opt o = {0};
	struct bd_common common;
	const char *output = NULL;
	bool unpack = false;
	int type = 0, embd = 1, dtype = 0;
	const struct bd_opt opts[] = {
		{"output", 'o', BD_STR, &output, "FILE", "where the result goes", 0, 0},
		{"type", 0, BD_ENUM, &type, "i2_s|tq2_0", "layout of the ternary tensors", 0, 0},
		{"embd", 0, BD_ENUM, &embd, "f32|f16|q8_0", "number format of embedding and head", 0, 0},
		{"name", 0, BD_STR, &o.name, "NAME", "general.name instead of the directory's name", 0, 0},
		{"unpack", 'd', BD_FLAG, &unpack, NULL, "the other way: MODEL is a packed file, the output a directory", 0, 0},
		{"dtype", 0, BD_ENUM, &dtype, "f32|bf16|f16", "number format of the unpacked weights", 0, 0},
		{"force", 'f', BD_FLAG, &o.force, NULL,
		 "pack a model not trained as ternary; unpack over an existing directory", 0, 0},
		{0},
	};
	const struct bd_tool tool = {"bd-pack", "pack a ternary model into one GGUF file", "[options] MODEL -o FILE",
	                             opts, 1, 1};
	int arg = bd_opt_parse(&tool, &common, argc, argv);
	struct bd_par *par;

	if (output == NULL)
		bd_die(BD_USAGE, "-o is missing; usage: bd-pack %s", tool.synopsis);
	par = bd_par_new((int)common.threads);
	if (unpack) {
		bd_packed_unpack(argv[arg], output, o.force, dtypes[dtype], par);
	} else {
		o.ternary = types[type];
		o.embd = embds[embd];
		bd_pack_write(argv[arg], output, &o, par);
	}
	bd_par_free(par);
	return BD_OK;
}
