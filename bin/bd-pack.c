/* bd-pack: packs a trained ternary model directory into one file for a runtime, and unpacks such files. */
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/opt.h"
#include "math/devices.h"
#include "model/ckpt.h"
#include "model/hf.h"
#include "pack/pack.h"
#include "pack/packed.h"

#include <stdio.h>

/* The values of the options' words, in the order of their lists. BD_GGML_F32 as a type of ternary tensors:
 * the target's first. */
#define ID(NAME, ...) BD_GGML_##NAME,
static const enum bd_ggml_type types[] = {BD_GGML_F32, BD_TERNARY_TYPES(ID)};
static const enum bd_ggml_type tables[] = {BD_TABLE_TYPES(ID)};
enum { ONLINE = sizeof(types) / sizeof(*types), OFFLINE };
#define TYPES  "auto" BD_TERNARY_WORDS BD_HF_FORM_LIST(BD_WORD_OR)
#define TABLES &(BD_TABLE_WORDS)[1]

static void print_target(const json_t *t)
{
	const char *arch = json_string_value(bd_json_get(t, "arch")),
	           *why = json_string_value(bd_json_get(t, "reason"));
	const json_t *list = bd_json_get(t, "types"), *type;
	size_t i;

	printf("%-10s  %-3s  ", json_string_value(bd_json_get(t, "target")), why == NULL ? "yes" : "no");
	if (why == NULL)
		printf("%s:", arch != NULL ? arch : "directory");
	else
		printf("%s", why);
	json_array_foreach(list, i, type)
		printf(" %s", json_string_value(type));
	putchar('\n');
}

static void list_targets(const char *dir, bool json)
{
	struct bd_ckpt *k = bd_ckpt_open(dir);
	json_t *list = bd_target_list(k);
	char *text = bd_json_text(list, true);
	const json_t *t;
	size_t i;

	if (json)
		puts(text);
	else
		json_array_foreach(list, i, t)
			print_target(t);
	bd_free(text);
	json_decref(list);
	bd_ckpt_close(k);
	bd_stdout_close();
}

/* type: index of --type. */
static void pack(const char *dir, const char *output, struct bd_pack_opt *o, int type, enum bd_dtype dtype,
                 struct bd_dev *dev)
{
	struct bd_hf_opt hf = {
	    .form = type == ONLINE ? BD_HF_ONLINE : BD_HF_OFFLINE, .dtype = dtype, .force = o->force};

	if (type != 0 && (o->target == BD_TARGET_HF) != (type == ONLINE || type == OFFLINE))
		bd_die(BD_USAGE,
		       "--type online and offline are for --target hf, the other types for GGUF files");
	if (o->target == BD_TARGET_HF && o->vocab_from.n > 0)
		bd_die(BD_USAGE, "--vocab-from is for GGUF files; --target hf writes the whole vocabulary");
	if (o->target == BD_TARGET_HF) {
		bd_hf_write(dir, output, &hf);
	} else {
		o->ternary = types[type];
		bd_pack_write(dir, output, o, dev);
	}
}

int main(int argc, char **argv)
{
	struct bd_pack_opt o = {.target = BD_TARGET_BD};
	struct bd_common common;
	const char *output = NULL;
	bool unpack = false, list = false, json = false;
	int type = 0, embd = 1, head = 1;
	enum bd_dtype dtype = BD_F32;
	const struct bd_opt opts[] = {
	    {"output", 'o', BD_STR | BD_WRITTEN, &output, "FILE", "output; -: stdout", 0, 0},
	    {"target", 0, BD_ENUM, &o.target, BD_WORDS(BD_TARGET_LIST), "runtime to make the file for", 0, 0},
	    {"list-targets", 0, BD_FLAG, &list, NULL,
	     "print which targets are possible for MODEL, and why others are not", 0, 0},
	    {"json", 0, BD_FLAG, &json, NULL, "print that list as JSON", 0, 0},
	    {"type", 0, BD_ENUM, &type, TYPES,
	     "layout of the ternary tensors; auto: the target's first type that fits", 0, 0},
	    {"embd", 0, BD_ENUM, &embd, TABLES, "number format of embedding and head", 0, 0},
	    {"head", 0, BD_ENUM, &head, TABLES, "number format of a head not tied to the embedding", 0, 0},
	    {"vocab-from", 0, BD_LIST | BD_READ, &o.vocab_from, "STREAM",
	     "pack only the tokens that this stream needs (may be repeated)", 0, 0},
	    {"name", 0, BD_STR, &o.name, "NAME", "general.name (default: the directory's name)", 0, 0},
	    {"unpack", 'd', BD_FLAG, &unpack, NULL,
	     "the reverse: MODEL is a packed file, the output a directory", 0, 0},
	    {"dtype", 0, BD_ENUM, &dtype, BD_DTYPE_WORDS,
	     "number format of the weights in an output directory", 0, 0},
	    {"force", 'f', BD_FLAG, &o.force, NULL,
	     "pack a model not trained as ternary; replace an existing directory", 0, 0},
	    {0},
	};
	const struct bd_tool tool = {
	    "bd-pack", "pack a ternary model for a runtime", "[options] MODEL -o FILE", opts, 1, 1};
	int arg = bd_opt_parse(&tool, &common, argc, argv);
	struct bd_dev *dev;

	if (list) {
		list_targets(argv[arg], json);
		return BD_OK;
	}
	if (output == NULL)
		bd_die(BD_USAGE, "-o is missing; usage: bd-pack %s", tool.synopsis);
	if (unpack && o.vocab_from.n > 0)
		bd_die(BD_USAGE, "--vocab-from is for packing; with -d, the file's vocabulary is written");
	o.embd = tables[embd];
	o.own_head = bd_opt_given("head");
	o.head = tables[head];
	dev = bd_dev_open((int)common.threads);
	if (unpack)
		bd_packed_unpack(argv[arg], output, o.force, dtype, dev);
	else
		pack(argv[arg], output, &o, type, dtype, dev);
	bd_dev_close(dev);
	return BD_OK;
}
