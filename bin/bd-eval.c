/* bd-eval: accuracy and perplexity of a model over an example stream. */
#include <stdio.h>

#include "eval.h"
#include "mem.h"
#include "msg.h"
#include "opt.h"

/* Dies unless the stream was made for this model. */
static void check_fit(const struct bd_infer *m, const struct bd_source *src, bool quiet)
{
	const char *digest = bd_source_head(src)->tokenizer;

	if (m->tok != NULL)
		digest = bd_tok_digest(m->tok);
	else if (!quiet)
		bd_warn("%s: has no tokenizer; whether the stream was made for it is not checked", m->path);
	bd_source_fits(src, digest, (uint32_t)m->net->cfg.vocab, m->path);
}

/* Counts [true][predicted] as an array of rows. */
static json_t *confusion_json(const uint64_t *count, size_t n)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *row = json_array();

		for (size_t j = 0; j < n; j++)
			json_array_append_new(row, json_integer((json_int_t)count[i * n + j]));
		json_array_append_new(rows, row);
	}
	return rows;
}

/* Names of the classes from the stream's template, "0", "1"... without one. */
static json_t *class_names(const struct bd_head *h, const char *name)
{
	struct bd_template *t = h->template_ != NULL ? bd_template_from(h->template_, name) : NULL;
	json_t *list = json_array();

	for (size_t i = 0; i < h->n_choice; i++) {
		char number[24];

		snprintf(number, sizeof(number), "%zu", i);
		json_array_append_new(list, json_string(t != NULL && i < bd_template_classes(t)
		                                            ? bd_template_class(t, i) : number));
	}
	bd_template_free(t);
	return list;
}

static void print_tsv(const json_t *o)
{
	const char *key, *sep = "";
	json_t *v;

	json_object_foreach((json_t *)o, key, v) {
		printf("%s%s", sep, key);
		sep = "\t";
	}
	sep = "\n";
	json_object_foreach((json_t *)o, key, v) {
		char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(10));

		printf("%s%s", sep, json_is_string(v) ? json_string_value(v) : text);
		free(text);
		sep = "\t";
	}
	putchar('\n');
}

static void print_json(const json_t *o)
{
	char *text = bd_json_text(o, true);

	puts(text);
	bd_free(text);
}

static json_t *history_of(struct bd_infer *m, const struct bd_source *src)
{
	const struct bd_input in[] = {bd_infer_input(m), {"examples", bd_source_digest(src), bd_source_head(src)->history}};

	return bd_history(in, 2);
}

int main(int argc, char **argv)
{
	struct bd_eval_opts out = {0};
	struct bd_common common;
	int64_t batch_tokens = 1024;
	bool tsv = false, ternary = false;
	const struct bd_opt opts[] = {
		{"batch-tokens", 'b', BD_INT, &batch_tokens, "N", "tokens that run together", 1, 1e8},
		{"ternary", 0, BD_FLAG, &ternary, NULL, "run a directory's linears as ternary whatever its config says", 0, 0},
		{"tsv", 0, BD_FLAG, &tsv, NULL, "two lines of TSV instead of JSON", 0, 0},
		{"logits", 0, BD_STR, &out.logits, "FILE", "write the logits of all predicted positions (safetensors)", 0, 0},
		{"predictions", 0, BD_STR, &out.predictions, "FILE", "write one JSON line per example", 0, 0},
		{0},
	};
	const struct bd_tool tool = {"bd-eval", "accuracy and perplexity of a model over an example stream",
	                             "[options] MODEL [FILE]", opts, 1, 2};
	int arg = bd_opt_parse(&tool, &common, argc, argv);
	const char *stream = arg + 1 < argc ? argv[arg + 1] : NULL;
	struct bd_par *par = bd_par_new((int)common.threads);
	struct bd_infer *m = bd_infer_open(argv[arg], par, ternary);
	struct bd_source *src = bd_source_open(stream);
	const struct bd_head *h = bd_source_head(src);
	size_t n = h->n_choice;
	struct bd_score s;
	json_t *o;

	check_fit(m, src, common.quiet);
	out.confusion = bd_zalloc(n * n + 1, sizeof(*out.confusion));
	s = bd_eval(m->net, src, (size_t)batch_tokens, &out);
	o = bd_score_json(&s, n);
	json_object_set_new(o, "model", json_string(argv[arg]));
	if (s.labelled > 0) {
		json_object_set_new(o, "classes", class_names(h, bd_source_name(src)));
		json_object_set_new(o, "confusion", confusion_json(out.confusion, n));
	}
	if (!json_is_number(json_object_get(o, "nll")))
		bd_warn("%s: %s", argv[arg], s.tokens > 0 ? "its logits are not finite; the model is broken"
		                                          : "no position of the stream is to be predicted");
	if (tsv) {
		print_tsv(o);
	} else {
		json_object_set_new(o, "history", history_of(m, src));
		print_json(o);
	}
	json_decref(o);
	bd_free(out.confusion);
	bd_source_close(src);
	bd_infer_close(m);
	bd_par_free(par);
	bd_stdout_close();
	return BD_OK;
}
