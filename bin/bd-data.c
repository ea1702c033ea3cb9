/* bd-data: text, JSONL, TSV and CSV become an example stream; --decode shows one as text. */
#include "base/history.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/opt.h"
#include "data/example.h"
#include "data/rows.h"

#include <inttypes.h>
#include <string.h>

static const char *template_name, *tokenizer, *output, *key = "text";
static bool text, shuffle, decode, skip_bad;
static int64_t pack, limit, skip, max_len, eos = -1, level = -1;
static enum bd_rows_format format;
static enum bd_cut truncate_;
static int chat_name = -1; /* an enum bd_chat_name; -1: no conversations */

static const struct bd_opt opts[] = {
    {"template", 'T', BD_STR | BD_READ, &template_name, "FILE",
     "task template: a file, or the name of one in the suite", 0, 0},
    {"text", 0, BD_FLAG, &text, NULL, "plain text: every document becomes a sequence", 0, 0},
    {"chat", 0, BD_ENUM, &chat_name, BD_CHAT_WORDS,
     "conversations, in this chat template (auto: the model's)", 0, 0},
    {"decode", 'd', BD_FLAG, &decode, NULL, "turn a stream back into JSON lines", 0, 0},
    {"tokenizer", 'm', BD_STR | BD_READ, &tokenizer, "DIR|FILE",
     "model directory, tokenizer.json or packed file", 0, 0},
    {"output", 'o', BD_STR | BD_WRITTEN, &output, "FILE", "output (default: stdout)", 0, 0},
    {"format", 0, BD_ENUM, &format, BD_ROWS_FORMATS, "input format", 0, 0},
    {"key", 0, BD_STR, &key, "NAME", "JSONL field with the text of a document", 0, 0},
    {"pack", 0, BD_INT, &pack, "N", "with --text, join documents into sequences of N tokens", 2, 1 << 24},
    {"max-len", 0, BD_INT, &max_len, "N", "cut sequences to N tokens; 0: the model's context", 0, 1 << 24},
    {"truncate", 0, BD_ENUM, &truncate_, BD_CUT_WORDS,
     "cut what is longer than --max-len or the model's context at this end", 0, 0},
    {"skip-bad", 0, BD_FLAG, &skip_bad, NULL, "leave bad rows out, and count them on stderr", 0, 0},
    {"shuffle", 0, BD_FLAG, &shuffle, NULL, "shuffle the rows (all in memory) with the seed of -s", 0, 0},
    {"skip", 0, BD_INT, &skip, "N", "skip the first N sequences", 0, 1e18},
    {"limit", 0, BD_INT, &limit, "N", "write at most N sequences; 0: all", 0, 1e18},
    {"eos", 0, BD_INT, &eos, "ID", "end-of-text token, instead of the model's", 0, UINT32_MAX},
    {"level", 0, BD_INT, &level, "N", "zstd level; 0: none; -1: 3 for files, none for pipes", -1, 19},
    {0},
};

static const struct bd_tool tool = {
    .name = "bd-data",
    .summary = "make example streams from text, JSONL, TSV and CSV",
    .synopsis = "--tokenizer MODEL (--template FILE | --text | --chat NAME) [options] [FILE...]",
    .opts = opts,
    .max_args = -1,
};

/* Where the sequences go. The stream is opened with the first one, so that bad input leaves no output. */
struct writer {
	const char *path;
	struct bd_stream_head head;
	struct bd_sink *sink;
	uint64_t seen, written;
};

static void write_example(void *ctx, const struct bd_record *r)
{
	struct writer *w = ctx;

	if (w->seen++ < (uint64_t)skip || (limit && w->written == (uint64_t)limit))
		return;
	if (w->sink == NULL)
		w->sink = bd_sink_open(w->path, (int)level, &w->head);
	bd_sink_put(w->sink, r);
	w->written++;
}

static json_t *history_of(const struct bd_examples *e, char *const *file, size_t files)
{
	struct bd_input *in = bd_zalloc(files + 1, sizeof(*in));
	char(*digest)[BD_HEX] = bd_alloc(files + 1, sizeof(*digest));

	for (size_t i = 0; i < files; i++) {
		bd_history_file(file[i], digest[i]);
		in[i] = (struct bd_input){"text", digest[i], NULL};
	}
	in[files] = (struct bd_input){"tokenizer", bd_tok_digest(e->tok), NULL};
	json_t *history = bd_history(in, files + 1);
	bd_free(in);
	bd_free(digest);
	return history;
}

static void fill_head(struct bd_stream_head *h, const struct bd_examples *e)
{
	h->layer = -1;
	h->vocab = e->beside.vocab;
	memcpy(h->tokenizer, bd_tok_digest(e->tok), sizeof(h->tokenizer));
	if (e->template_ == NULL)
		return;
	h->template_ = json_deep_copy(bd_template_json(e->template_));
	h->n_choice = bd_template_classes(e->template_);
	if (!h->n_choice)
		return;
	h->choice = bd_alloc(h->n_choice, sizeof(*h->choice));
	for (size_t i = 0; i < h->n_choice; i++)
		h->choice[i] = e->choice[i].id[0];
}

static void no_text(struct bd_examples *e, const char *where)
{
	char *why = e->chat != NULL
	                ? bd_sprintf("%s: neither \"messages\" nor \"conversations\"", where)
	                : bd_sprintf("%s: no field \"%s\"; use --key to name another", where, key);

	if (!skip_bad)
		bd_die(BD_DATA, "%s", why);
	bd_leftout_add(&e->left, "without the text's field", why);
	bd_free(why);
}

/* A conversation is in the member "messages", or else in "conversations", as ShareGPT calls it. */
static const char *const chat_fields[] = {"messages", "conversations"};

static void read_chat(struct bd_examples *e, const char *const *value, const size_t *length,
                      const char *where)
{
	int i = value[0] == NULL;

	if (value[i] == NULL)
		no_text(e, where);
	else
		bd_example_chat(e, value[i], length[i], where);
}

static struct bd_chat *open_chat(const struct bd_tok *tok)
{
	struct bd_chat *chat = bd_chat_named((enum bd_chat_name)chat_name, tok);
	char *jinja = chat == NULL ? bd_chat_source(tokenizer) : NULL;

	if (jinja != NULL)
		chat = bd_chat_detect(jinja, tok);
	if (chat == NULL)
		bd_die(BD_DATA, "%s: has %s chat template; choose one with --chat: %s", tokenizer,
		       jinja != NULL ? "an unknown" : "no", BD_WORDS(BD_CHAT_LIST));
	bd_free(jinja);
	return chat;
}

static void read_rows(struct bd_examples *e, struct bd_rows *rows, size_t fields, const struct writer *w)
{
	const char **value = bd_alloc(fields, sizeof(*value));
	size_t *length = bd_alloc(fields, sizeof(*length));

	while (!(limit && w->written == (uint64_t)limit) && bd_rows_next(rows, value, length)) {
		if (e->template_ != NULL)
			bd_example_row(e, value, bd_rows_where(rows));
		else if (e->chat != NULL)
			read_chat(e, value, length, bd_rows_where(rows));
		else if (value[0] == NULL)
			no_text(e, bd_rows_where(rows));
		else
			bd_example_text(e, value[0], length[0], bd_rows_where(rows));
	}
	bd_free(value);
	bd_free(length);
}

static void report(const struct bd_examples *e)
{
	if (e->cut)
		bd_warn("%" PRIu64 " of %" PRIu64 " rows cut to %zu tokens, %" PRIu64 " tokens dropped",
		        e->cut, e->rows, e->max_len, e->cut_tokens);
	bd_leftout_report(&e->left, "rows");
}

/* How long sequences may be, and what becomes of longer ones. */
static void set_length(struct bd_examples *e)
{
	size_t context = e->beside.context;

	if (context && (size_t)pack > context)
		bd_die(BD_USAGE, "--pack %" PRId64 ": the context of %s is %zu", pack, tokenizer, context);
	e->max_len = (size_t)max_len;
	e->cut_end = truncate_ == BD_CUT_NO && max_len ? BD_CUT_RIGHT : truncate_;
	if (!pack && context && (!e->max_len || context < e->max_len))
		e->max_len = context;
}

static void make_examples(char *const *file, size_t files, const struct bd_common *common)
{
	struct bd_tok *tok = bd_tok_open(tokenizer);
	struct writer w = {.path = output};
	struct bd_examples e = {
	    .tok = tok, .pack = (size_t)pack, .skip = skip_bad, .emit = write_example, .ctx = &w};
	struct bd_rows_opts how = {.format = format, .skip = skip_bad ? &e.left : NULL};
	struct bd_template *t = NULL;
	struct bd_chat *chat = NULL;
	char *path = template_name != NULL ? bd_template_path(template_name) : NULL;
	size_t fields = 1;

	e.beside = bd_beside(tokenizer, tok);
	e.beside.eos = eos >= 0 ? eos : e.beside.eos;
	set_length(&e);
	if (path != NULL) {
		e.template_ = t = bd_template_load(path);
		e.choice = bd_template_classes(t) ? bd_template_choices(t, tok) : NULL;
		fields = bd_template_fields(t);
	}
	if (chat_name >= 0) {
		e.chat = chat = open_chat(tok);
		how.format = BD_ROWS_JSONL;
		how.lists = true;
		fields = 2;
	}
	const char **name = bd_alloc(fields, sizeof(*name));
	for (size_t i = 0; i < fields; i++)
		name[i] = t != NULL ? bd_template_field(t, i) : chat != NULL ? chat_fields[i] : key;
	struct bd_rows *rows = bd_rows_open(file, files, &how, name, fields);
	if (shuffle)
		bd_rows_shuffle(rows, (uint64_t)common->seed);
	fill_head(&w.head, &e);
	w.head.history = history_of(&e, file, files);
	read_rows(&e, rows, fields, &w);
	bd_example_end(&e);
	if (!common->quiet)
		report(&e);
	if (w.sink == NULL)
		bd_die(BD_DATA, "%s: %s", files ? file[0] : "<stdin>",
		       w.seen               ? "nothing is left after --skip"
		       : e.rows || e.left.n ? "no row gives a sequence of two tokens"
		                            : "empty: no rows");
	bd_sink_close(w.sink);
	bd_stream_head_free(&w.head);
	bd_rows_close(rows);
	bd_free(name);
	bd_free(path);
	bd_template_free(t);
	bd_chat_free(chat);
	bd_tok_free(tok);
}

static void decode_streams(struct bd_parts parts)
{
	struct bd_tok *tok = bd_tok_open(tokenizer);
	struct bd_source *s = parts.n == 1 ? bd_source_open(*parts.path) : bd_source_join(parts);

	bd_source_fits(s, bd_tok_digest(tok), bd_source_head(s)->vocab, tokenizer);
	struct bd_out *out = bd_out_open(output, false, level > 0 ? (int)level : 0);
	struct bd_record r = {0};
	for (int64_t i = 0, n = 0; (!limit || n < limit) && bd_source_next(s, &r); i++) {
		if (i < skip)
			continue;
		json_t *o = bd_example_json(tok, &r);
		char *line = bd_json_text(o, false);
		bd_out_str(out, line);
		bd_out_str(out, "\n");
		bd_free(line);
		json_decref(o);
		n++;
	}
	bd_record_free(&r);
	bd_out_close(out);
	bd_source_close(s);
	bd_tok_free(tok);
}

int main(int argc, char **argv)
{
	struct bd_common common;
	int i = bd_opt_parse(&tool, &common, argc, argv);

	if (tokenizer == NULL)
		bd_die(BD_USAGE, "--tokenizer is missing");
	if ((template_name != NULL) + text + (chat_name >= 0) + decode != 1)
		bd_die(BD_USAGE, "one of --template, --text, --chat and --decode is needed");
	if (chat_name >= 0 && format != BD_ROWS_AUTO && format != BD_ROWS_JSONL)
		bd_die(BD_USAGE, "--chat reads JSONL only");
	if (pack && !text)
		bd_die(BD_USAGE, "--pack needs --text");
	if (decode)
		decode_streams((struct bd_parts){argv + i, (size_t)(argc - i)});
	else
		make_examples(argv + i, (size_t)(argc - i), &common);
	bd_stdout_close();
	return BD_OK;
}
