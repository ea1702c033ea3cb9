/* Packed files, unpacking: a model directory with the dense weights that codes and scales represent. */
#include "base/history.h"
#include "base/io.h"
#include "base/mem.h"
#include "format/gguf_table.h"
#include "machine/quant.h"
#include "net/net_parts.h"
#include "pack/packed.h"
#include "text/tokenizer.h"

#include <string.h>

static void write_text(const struct bd_gguf *g, const char *key, const char *dir, const char *file)
{
	const char *text;
	char *path;
	size_t n;

	if (!bd_gguf_has(g, key))
		return;
	text = bd_gguf_str(g, key, &n);
	path = bd_path(dir, file);
	bd_write_file(path, text, n);
	bd_free(path);
}

/* Of a file of another program, as far as its keys tell. */
static void write_tokenizer(const struct bd_gguf *g, const char *dir)
{
	char *why = NULL, *path = bd_path(dir, "tokenizer.json");
	struct bd_tok *tok = bd_tok_gguf(g, &why);
	const char *text;
	size_t n;

	if (tok != NULL) {
		text = bd_tok_json(tok, &n);
		bd_write_file(path, text, n);
	}
	bd_tok_free(tok);
	bd_free(why);
	bd_free(path);
}

/* The weights that a part of the net represents: w[rows,cols], host memory. */
static void weights_of(struct bd_dev *dev, const struct bd_part *p, float *w)
{
	size_t size = p->kind == BD_KIND_TABLE    ? bd_ggml_bytes(p->table->type, p->rows, p->cols)
	              : p->kind == BD_KIND_LINEAR ? p->rows * bd_ternary_stride(p->cols)
	                                          : p->cols * sizeof(*w);
	void *stored = bd_alloc(size, 1);

	bd_dev_from(dev, stored, bd_part_data(p), size);
	if (p->kind == BD_KIND_TABLE)
		bd_table_load(p->table->type, w, stored, p->rows * p->cols);
	else if (p->kind == BD_KIND_LINEAR)
		bd_ternary_unpack(w, stored, p->rows, p->cols, p->linear->scale);
	else
		memcpy(w, stored, size);
	bd_free(stored);
}

void bd_packed_unpack(const char *path, const char *dir, bool force, enum bd_dtype t, struct bd_dev *dev)
{
	struct bd_net *net = bd_packed_open(path, dev);
	struct bd_outdir *out = bd_outdir_open(dir, force);
	struct bd_config c = bd_config_copy(&net->cfg);
	struct bd_model *m;
	struct bd_part *part;
	json_t *history;
	size_t n;

	/* absmean of D C is not D: these weights are run as they are, never quantised again */
	c.ternary = false;
	m = bd_model_new(&c);
	part = bd_net_parts(net, &n);
	for (size_t i = 0; i < n; i++)
		weights_of(dev, &part[i], bd_model_data(m, part[i].slot, part[i].layer));
	history = bd_history(
	    &(struct bd_input){"packed file", bd_packed_digest(net), bd_config_history(&net->cfg)}, 1);
	bd_model_save(m, bd_outdir_path(out), t, history);
	write_tokenizer(net->release_arg, bd_outdir_path(out));
	write_text(net->release_arg, "tokenizer.chat_template", bd_outdir_path(out), "chat_template.jinja");
	bd_outdir_commit(out);
	json_decref(history);
	bd_free(part);
	bd_model_free(m);
	bd_config_free(&c);
	bd_net_free(net);
}
