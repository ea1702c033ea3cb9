/* From the header of a packed file, or a config.json. */
#include "eval/bench_shape.h"

#include "base/io.h"
#include "base/msg.h"
#include "pack/packed_config.h"

#include <string.h>

static void from_packed(struct bd_shape *s, const char *path)
{
	struct bd_gguf *g = bd_gguf_open(path);
	const struct bd_gguf_tensor *t;
	struct bd_layout l;
	char name[96];

	bd_packed_config(g, &s->cfg, &l);
	bd_layout_name(&l, s->cfg.tied ? BD_EMBED : BD_HEAD, 0, name, sizeof(name));
	t = bd_gguf_find(g, name);
	if (t == NULL || !bd_ggml_table(t->type))
		bd_die(BD_DATA,
		       "%s: tensor %s is missing or of a type that is no table; pack the model again", path,
		       name);
	s->stored = (enum bd_ggml_type)t->type;
	bd_gguf_close(g);
}

static void from_config(struct bd_shape *s, const char *path)
{
	const char *type;

	s->cfg = bd_config_load(path);
	type =
	    bd_json_str(s->cfg.json, "dtype", bd_json_str(s->cfg.json, "torch_dtype", "float32", path), path);
	s->stored = BD_GGML_F32;
	if (strcmp(type, "bfloat16") == 0)
		s->stored = BD_GGML_BF16;
	else if (strcmp(type, "float16") == 0)
		s->stored = BD_GGML_F16;
}

/* A packed file begins with the letters GGUF. */
static bool is_packed(const char *path)
{
	char magic[4] = "";
	struct bd_in *in;

	if (bd_is_dir(path))
		return false;
	in = bd_in_open(path);
	bd_in_read(in, magic, sizeof(magic));
	bd_in_close(in);
	return memcmp(magic, "GGUF", sizeof(magic)) == 0;
}

struct bd_shape bd_shape_open(const char *path)
{
	struct bd_shape s = {0};

	if (is_packed(path))
		from_packed(&s, path);
	else
		from_config(&s, path);
	return s;
}

void bd_shape_close(struct bd_shape *s)
{
	bd_config_free(&s->cfg);
}
