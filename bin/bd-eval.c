/* bd-eval: scores of a model over an example stream, or of given texts against references. */
#include "base/mem.h"
#include "base/msg.h"
#include "base/show.h"
#include "base/opt.h"
#include "eval/eval.h"
#include "eval/eval_text.h"
#include "eval/score.h"
#include "eval/text_scores.h"
#include "math/devices.h"

#include <stdio.h>
#include <string.h>

/* Dies unless the stream was made for this model. */
static void check_fit(const struct bd_infer *m, struct bd_source *src, bool other_task, bool quiet)
{
	const json_t *task = m->task != NULL ? bd_template_json(m->task) : NULL;
	const struct bd_stream_head *h;
	bool known;

	known = m->tok != NULL && (!bd_tok_rebuilt(m->tok) ||
	                           strcmp(bd_source_head(src)->tokenizer, bd_tok_digest(m->tok)) == 0);
	if (!known && !quiet)
		bd_warn("%s: %s; cannot check that the stream was made for it", m->path,
		        m->tok != NULL ? "its tokenizer was rebuilt from GGUF keys" : "has no tokenizer");
	if (known)
		bd_infer_fits(m, src);
	else
		bd_source_fits(src, bd_source_head(src)->tokenizer, (uint32_t)m->net->cfg.vocab, m->path);
	h = bd_source_head(src);
	if (other_task || task == NULL || h->template_ == NULL)
		return;
	if (!bd_template_same(task, h->template_))
		bd_die(BD_DATA,
		       "%s: made with template %s, but %s was trained with %s; make a stream with the "
		       "model's template, or give --other-task",
		       bd_source_name(src), bd_template_called(h->template_), m->path,
		       bd_template_called(task));
	for (size_t i = 0; i < m->n_choice; i++)
		if (h->n_choice != m->n_choice || h->choice[i] != m->choice[i])
			bd_die(BD_DATA,
			       "%s: its labels have other tokens than those of %s; make the stream again",
			       bd_source_name(src), m->path);
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
static json_t *class_names(const struct bd_stream_head *h, const char *name)
{
	struct bd_template *t = h->template_ != NULL ? bd_template_from(h->template_, name) : NULL;
	json_t *list = json_array();

	for (size_t i = 0; i < h->n_choice; i++) {
		char number[24];

		snprintf(number, sizeof(number), "%zu", i);
		json_array_append_new(
		    list,
		    json_string(t != NULL && i < bd_template_classes(t) ? bd_template_class(t, i) : number));
	}
	bd_template_free(t);
	return list;
}

/* One line of TSV: the names, dotted where objects are nested, or the values of all members. */
static void print_cells(const json_t *o, const char *prefix, bool names, bool *first)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)o, key, v) {
		char *name = bd_sprintf("%s%s", prefix, key), *dotted = bd_sprintf("%s.", name);
		char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(10));

		if (json_is_object(v)) {
			print_cells(v, dotted, names, first);
		} else {
			const char *cell = names ? name : json_is_string(v) ? json_string_value(v) : text;

			fputs(*first ? "" : "\t", stdout);
			bd_show_to(stdout, cell, strlen(cell), false);
			*first = false;
		}
		free(text);
		bd_free(dotted);
		bd_free(name);
	}
}

static void print(const json_t *o, bool tsv)
{
	if (!tsv) {
		char *text = bd_json_text(o, true);

		puts(text);
		bd_free(text);
		return;
	}
	for (int names = 1; names >= 0; names--) {
		print_cells(o, "", names, &(bool){true});
		putchar('\n');
	}
}

static json_t *history_of(struct bd_infer *m, const struct bd_source *src)
{
	size_t n;
	struct bd_input *streams = bd_source_inputs(src, "examples", &n), *in = bd_alloc(n + 1, sizeof(*in));

	in[0] = bd_infer_input(m);
	memcpy(in + 1, streams, n * sizeof(*in));
	json_t *history = bd_history(in, n + 1);
	bd_free(streams);
	bd_free(in);
	return history;
}

/* What the command line says. */
struct args {
	struct bd_eval_opts eval;
	struct bd_answers_opts answers;
	struct bd_common common;
	int64_t batch_tokens, window, stride, max_new;
	bool tsv, ternary, score, generate, other_task;
};

/* --score: texts against references, without a model. */
static json_t *score_texts(const struct args *a, const char *file)
{
	struct bd_text_scores *pairs = bd_text_scores_new();
	struct bd_out *lines =
	    a->eval.predictions != NULL ? bd_out_open(a->eval.predictions, false, 0) : NULL;
	char digest[BD_HEX];
	json_t *o;

	bd_text_scores_read(pairs, file, lines);
	if (lines != NULL)
		bd_out_close(lines);
	o = json_pack("{s:I}", "pairs", (json_int_t)bd_text_scores_count(pairs));
	json_object_update_new(o, bd_text_scores_json(pairs, (uint64_t)a->common.seed));
	if (!a->tsv) {
		bd_history_file(file != NULL ? file : "-", digest);
		json_object_set_new(o, "history", bd_history(&(struct bd_input){"text", digest, NULL}, 1));
	}
	bd_text_scores_free(pairs);
	return o;
}

static void add_answer(void *answers, const struct bd_record *r)
{
	bd_answers_add(answers, r);
}

/* A model over a stream. */
static json_t *score_model(struct args *a, const char *model, struct bd_parts streams)
{
	struct bd_dev *dev = bd_dev_open((int)a->common.threads);
	struct bd_infer *m = bd_infer_open(model, dev, a->ternary);
	struct bd_source *src = bd_source_join(streams);
	const struct bd_stream_head *h = bd_source_head(src);
	size_t n = h->n_choice;
	struct bd_score s;
	json_t *o;

	check_fit(m, src, a->other_task, a->common.quiet);
	a->eval.confusion = bd_zalloc(n * n + 1, sizeof(*a->eval.confusion));
	if (a->generate) {
		a->eval.ctx = bd_answers_new(m, src, &a->answers);
		a->eval.each = add_answer;
	}
	s = bd_eval(m->net, src, (size_t)a->batch_tokens, &a->eval);
	o = bd_score_json(&s, n);
	if (a->generate)
		json_object_set_new(o, "generated", bd_answers_finish(a->eval.ctx));
	json_object_set_new(o, "model", bd_json_string(model));
	if (s.labelled > 0) {
		json_object_set_new(o, "classes", class_names(h, bd_source_name(src)));
		json_object_set_new(o, "confusion", confusion_json(a->eval.confusion, n));
	}
	if (!json_is_number(json_object_get(o, "nll")))
		bd_warn("%s: %s", model,
		        s.tokens > 0 ? "its logits are not finite; the model is broken"
		                     : "the stream has no positions to predict");
	if (!a->tsv)
		json_object_set_new(o, "history", history_of(m, src));
	bd_free(a->eval.confusion);
	bd_source_close(src);
	bd_infer_close(m);
	bd_dev_close(dev);
	return o;
}

/* Sets what depends on several options, and refuses bad combinations. */
static void settle(struct args *a, int operands)
{
	if (operands < 1 || (a->score && operands != 1))
		bd_die(BD_USAGE, a->score ? "--score takes at most one operand: the file of texts"
		                          : "wrong operands: give a model and its streams; see --help");
	if (a->window > 0 && a->generate)
		bd_die(BD_USAGE, "--generate needs whole sequences, but --window cuts them");
	if (a->stride > 0 && (a->window == 0 || a->stride > a->window))
		bd_die(BD_USAGE, "--stride needs a --window that is at least as large");
	a->eval.window = (size_t)a->window;
	a->eval.stride = (size_t)(a->stride > 0 ? a->stride : (a->window + 1) / 2);
	a->eval.seed = a->answers.seed = (uint64_t)a->common.seed;
	a->answers.batch_tokens = (size_t)a->batch_tokens;
	a->answers.max = (size_t)a->max_new;
	if (a->generate) {
		a->answers.predictions = a->eval.predictions;
		a->eval.predictions = NULL;
	}
}

int main(int argc, char **argv)
{
	struct args a = {.batch_tokens = 1024};
	const struct bd_opt opts[] = {
	    {"batch-tokens", 'b', BD_INT, &a.batch_tokens, "N", "tokens to process together", 1, 1e8},
	    {"generate", 'g', BD_FLAG, &a.generate, NULL, "also let the model answer: accuracy, ROUGE, BLEU",
	     0, 0},
	    {"max-new", 'n', BD_INT, &a.max_new, "N",
	     "maximum tokens of an answer; 0: as the longest label, or 128", 0, 1e9},
	    {"window", 0, BD_INT, &a.window, "N", "cut sequences into windows of N tokens; 0: do not cut", 0,
	     1e9},
	    {"stride", 0, BD_INT, &a.stride, "N", "tokens from one window to the next; 0: half a window", 0,
	     1e9},
	    {"other-task", 0, BD_FLAG, &a.other_task, NULL,
	     "the stream's template need not be the one that the model was trained with", 0, 0},
	    {"score", 0, BD_FLAG, &a.score, NULL, "use no model; FILE has predictions and references", 0, 0},
	    {"ternary", 0, BD_FLAG, &a.ternary, NULL,
	     "run the linear layers of a directory as ternary, whatever its config says", 0, 0},
	    {"tsv", 0, BD_FLAG, &a.tsv, NULL, "two lines of TSV instead of JSON", 0, 0},
	    {"logits", 0, BD_STR | BD_WRITTEN, &a.eval.logits, "FILE",
	     "write the logits of all predicted positions (safetensors)", 0, 0},
	    {"predictions", 0, BD_STR | BD_WRITTEN, &a.eval.predictions, "FILE",
	     "write one JSON line per example", 0, 0},
	    {0},
	};
	const struct bd_tool tool = {"bd-eval",
	                             "accuracy, perplexity, ROUGE and BLEU of a model over an example stream",
	                             "[options] MODEL [STREAM...] | --score [FILE]",
	                             opts,
	                             0,
	                             -1};
	int arg = bd_opt_parse(&tool, &a.common, argc, argv);
	int first = arg < argc ? arg + 1 : argc;
	struct bd_parts streams = {argv + first, (size_t)(argc - first)};
	json_t *o;

	settle(&a, argc - arg + (a.score && argc == arg));
	o = a.score ? score_texts(&a, argv[arg]) : score_model(&a, argv[arg], streams);
	print(o, a.tsv);
	json_decref(o);
	bd_stdout_close();
	return BD_OK;
}
