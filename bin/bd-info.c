/* bd-info: describes the suite's files, verifies their checksums, compares two models. Every description is a
 * JSON object; text is that object printed for people. */
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/show.h"
#include "base/opt.h"
#include "data/stream.h"
#include "format/gguf_digest.h"
#include "model/model_diff.h"
#include "model/model_info.h"
#include "pack/packed.h"

#include <stdio.h>
#include <string.h>

struct want {
	bool check, list; /* verify; name every tensor */
	bool bad;         /* out: a check failed */
};

static json_t *describe_gguf(const char *path, struct want *w)
{
	json_t *o = bd_info_kind(path, "gguf"), *list = json_array(), *keys = json_object(),
	       *types = json_object();
	struct bd_gguf *g = bd_gguf_open(path);
	size_t bytes = 0, n;

	for (size_t i = 0; i < bd_gguf_keys(g); i++) {
		if (strcmp(bd_gguf_key_at(g, i), "bd.history") == 0)
			continue;
		char *text = bd_gguf_show(g, i, 60);
		json_t *key = bd_json_string(bd_gguf_key_at(g, i));

		json_object_set_new(keys, json_string_value(key), bd_json_string(text));
		json_decref(key);
		bd_free(text);
	}
	for (size_t i = 0; i < bd_gguf_tensors(g); i++) {
		const struct bd_gguf_tensor *t = bd_gguf_tensor_at(g, i);
		const char *type = bd_ggml_name(t->type);

		json_array_append_new(list, json_pack("{s:o, s:s, s:[I, I]}", "name", bd_json_string(t->name),
		                                      "type", type, "shape", (json_int_t)t->rows,
		                                      (json_int_t)t->cols));
		json_object_set_new(
		    types, type,
		    json_integer(json_integer_value(json_object_get(types, type)) + (json_int_t)t->bytes));
		bytes += t->bytes;
	}
	json_object_set_new(o, "keys", keys);
	json_object_set_new(o, "history", bd_packed_history(g));
	bd_info_int(o, "tensor_count", bd_gguf_tensors(g));
	bd_info_int(o, "bytes", bytes);
	json_object_set_new(o, "bytes_by_type", types);
	if (w->check && !bd_gguf_has(g, BD_GGUF_TENSOR_DIGESTS)) {
		bd_warn("%s: has no digests; only its structure was checked", path);
	} else if (w->check) {
		bd_info_int(o, "wrong_digests", bd_packed_check(path, &n));
		w->bad |= json_integer_value(json_object_get(o, "wrong_digests")) > 0;
		if (!bd_gguf_digested(g))
			bd_warn("%s: has digests of its tensors only; its keys were not checked", path);
	}
	if (w->list)
		json_object_set(o, "tensors", list);
	json_decref(list);
	bd_gguf_close(g);
	return o;
}

/* ---- streams ---- */

static void describe_head(json_t *o, const struct bd_stream_head *h)
{
	json_object_set_new(o, "tokenizer", json_string(h->tokenizer));
	bd_info_int(o, "vocab", h->vocab);
	if (h->template_ != NULL)
		json_object_set(o, "template", h->template_);
	if (h->teacher) {
		json_object_set_new(o, "teacher", json_string(h->teacher_digest));
		json_object_set_new(o, "teacher_layers", json_integer(h->teacher_layers));
		json_object_set_new(o, "layer", json_integer(h->layer));
		json_object_set_new(o, "width",
		                    json_pack("[i, i, i]", h->width[0], h->width[1], h->width[2]));
		json_object_set_new(o, "heads",
		                    json_pack("[i, i, i]", h->heads[0], h->heads[1], h->heads[2]));
		json_object_set_new(o, "after_rope", json_boolean(h->after_rope));
		json_object_set_new(o, "logits",
		                    json_string(!h->logits  ? "none"
		                                : h->top_k  ? "top-k"
		                                : h->sample ? "sample"
		                                            : "full"));
		bd_info_int(o, "top_k", h->top_k);
		if (bd_stream_listed(h) > 0) {
			bd_info_int(o, "sample", h->sample);
			json_object_set_new(o, "tau", json_real(h->tau));
		}
		json_object_set_new(o, "positions", json_string(bd_positions_name(h->all_positions)));
	}
	if (h->shards)
		json_object_set_new(o, "shard", json_pack("[i, i]", (int)h->shard, (int)h->shards));
	if (h->history != NULL)
		json_object_set(o, "history", h->history);
}

/* Reading to the end verifies every checksum. */
static json_t *describe_stream(const char *path)
{
	struct bd_source *s = bd_source_open(path);
	const struct bd_stream_head *h = bd_source_head(s);
	json_t *o = bd_info_kind(bd_source_name(s), h->teacher ? "teacher stream" : "example stream"),
	       *labels = json_array();
	uint64_t tokens = 0, predicted = 0, longest = 0, *count = bd_zalloc(h->n_choice + 1, sizeof(*count)),
	         records = 0;
	struct bd_record r = {0};

	describe_head(o, h);
	for (; bd_source_next(s, &r); records++) {
		tokens += r.n;
		longest = r.n > longest ? r.n : longest;
		for (size_t i = 0; i < r.n; i++)
			predicted += r.target[i];
		if (r.label >= 0 && (size_t)r.label < h->n_choice)
			count[r.label]++;
	}
	bd_info_int(o, "examples", records);
	bd_info_int(o, "tokens", tokens);
	bd_info_int(o, "predicted", predicted);
	bd_info_int(o, "longest", longest);
	for (size_t i = 0; i < h->n_choice; i++)
		json_array_append_new(labels,
		                      json_pack("{s:I, s:I, s:I}", "label", (json_int_t)i, "token",
		                                (json_int_t)h->choice[i], "examples", (json_int_t)count[i]));
	if (h->n_choice > 0)
		json_object_set(o, "labels", labels);
	json_decref(labels);
	bd_free(count);
	bd_record_free(&r);
	bd_source_close(s);
	return o;
}

/* ---- kinds of files ---- */

/* A damaged one is not read. */
static json_t *describe_dir(const char *path, struct want *w)
{
	char *config = bd_path(path, "config.json");
	bool model = bd_exists(config);
	size_t wrong = 0, bad = 0;
	json_t *digests = w->check ? bd_info_digests(path, &wrong) : NULL, *o;

	bd_free(config);
	if (wrong > 0)
		o = bd_info_kind(path, "damaged directory");
	else if (model)
		o = bd_info_model(path, w->list, w->check, &bad);
	else
		o = bd_info_safetensors(path, w->list);
	if (digests != NULL)
		json_object_set_new(o, "digests", digests);
	w->bad |= wrong + bad > 0;
	return o;
}

static json_t *describe(const char *path, struct want *w)
{
	char head[9] = "";

	if (strcmp(path, "-") == 0)
		return describe_stream(path);
	if (bd_is_dir(path))
		return describe_dir(path, w);
	struct bd_map m = bd_map_unchecked(path); /* whoever describes it checks it */
	memcpy(head, m.p != NULL ? (const char *)m.p : "", m.n < 9 ? m.n : 9);
	bd_unmap(&m);
	if (memcmp(head, "GGUF", 4) == 0)
		return describe_gguf(path, w);
	if (head[0] == '{')
		return bd_info_json(path, w->list);
	return head[8] == '{' ? bd_info_safetensors(path, w->list) : describe_stream(path);
}

/* ---- printing ---- */

static void print_scalar(const json_t *v)
{
	char *text = json_is_string(v) ? bd_strdup(json_string_value(v)) : bd_json_text(v, false);

	bd_show_to(stdout, text, strlen(text), false);
	bd_free(text);
}

/* Strings and objects of a list go on a line each; numbers stay on the line of the key. */
static void print_list(const json_t *list, int indent)
{
	const char *key;
	json_t *v, *field;
	size_t i;

	json_array_foreach(list, i, v) {
		printf("\n%*s", indent, "");
		if (!json_is_object(v))
			print_scalar(v);
		json_object_foreach(v, key, field) {
			fputs(key == json_object_iter_key(json_object_iter(v)) ? "" : " ", stdout);
			print_scalar(field);
		}
	}
}

/* The runs that made it, oldest first; the inputs of each are below its command. */
static void print_history(const json_t *list, int indent)
{
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v) {
		const char *line = json_is_string(v) ? json_string_value(v) : "", *inputs = NULL;

		for (const char *s = line; (s = strstr(s, " <- ")) != NULL; s++)
			inputs = s;
		printf("\n%*s", indent, "");
		bd_show_to(stdout, line, inputs != NULL ? (size_t)(inputs - line) : strlen(line), false);
		if (inputs == NULL)
			continue;
		printf("\n%*s", indent + 3, "");
		bd_show_to(stdout, inputs, strlen(inputs), false);
	}
}

/* "key: value" lines; the members of an object are indented below its key. */
static void print_text(const json_t *o, int indent)
{
	const char *key;
	json_t *v, *first;

	json_object_foreach((json_t *)(uintptr_t)o, key, v) {
		printf("%*s", indent, "");
		bd_show_to(stdout, key, strlen(key), false);
		putchar(':');
		first = json_array_get(v, 0);
		if (json_is_object(v)) {
			putchar('\n');
			print_text(v, indent + 2);
			continue;
		}
		if (strcmp(key, "history") == 0) {
			print_history(v, indent + 2);
		} else if (json_is_object(first) || json_is_string(first)) {
			print_list(v, indent + 2);
		} else {
			putchar(' ');
			print_scalar(v);
		}
		putchar('\n');
	}
}

static void print(const json_t *o, bool json)
{
	if (!json) {
		print_text(o, 0);
		return;
	}
	char *text = bd_json_text(o, true);
	puts(text);
	bd_free(text);
}

int main(int argc, char **argv)
{
	struct bd_common common;
	struct want w = {0};
	bool json = false, diff = false;
	const struct bd_opt opts[] = {
	    {"json", 'j', BD_FLAG, &json, NULL, "print JSON", 0, 0},
	    {"check", 'c', BD_FLAG, &w.check, NULL, "verify checksums and values; exit 1 if they are wrong",
	     0, 0},
	    {"tensors", 'l', BD_FLAG, &w.list, NULL, "list every tensor", 0, 0},
	    {"diff", 'd', BD_FLAG, &diff, NULL,
	     "compare two models or files tensor by tensor; exit 1 if they differ", 0, 0},
	    {0},
	};
	const struct bd_tool tool = {"bd-info",
	                             "describe, verify and compare models, packed files and streams",
	                             "[options] [FILE|DIR ...]",
	                             opts,
	                             0,
	                             -1};
	int arg = bd_opt_parse(&tool, &common, argc, argv);

	if (diff) {
		if (argc - arg != 2)
			bd_die(BD_USAGE, "--diff compares two models or files; give both");
		json_t *o = bd_diff(argv[arg], argv[arg + 1]);
		print(o, json);
		w.bad = !json_is_true(json_object_get(o, "equal"));
		json_decref(o);
	}
	for (int i = arg; !diff && i < (arg < argc ? argc : arg + 1); i++) {
		json_t *o = describe(arg < argc ? argv[i] : "-", &w);

		print(o, json);
		json_decref(o);
	}
	bd_stdout_close();
	return w.bad ? BD_NO : BD_OK;
}
