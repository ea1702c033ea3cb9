/* bd-init: a randomly initialised model from a config.json and a seed. */
#include "base/history.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/opt.h"
#include "model/model.h"
#include "text/tokenizer.h"

/* A model has few uses without rows for all tokens, but some are published so. */
static void check_tokenizer(const struct bd_config *c, const char *path)
{
	struct bd_tok *t = bd_tok_open(path);

	if (bd_tok_vocab(t) > (uint32_t)c->vocab)
		bd_warn("%s: has %u tokens, of which the model knows vocab_size, %d", path, bd_tok_vocab(t),
		        c->vocab);
	bd_tok_free(t);
}

static json_t *history_of(const char *config)
{
	char *file = bd_is_dir(config) ? bd_path(config, "config.json") : bd_strdup(config), digest[BD_HEX];

	bd_history_file(file, digest);
	bd_free(file);
	return bd_history(&(struct bd_input){"config", digest, NULL}, 1);
}

int main(int argc, char **argv)
{
	struct bd_common common;
	const char *output = NULL, *tokenizer = NULL;
	bool force = false;
	enum bd_dtype dtype = BD_F32;
	const struct bd_opt opts[] = {
	    {"output", 'o', BD_STR | BD_WRITTEN, &output, "DIR", "the model directory to write", 0, 0},
	    {"tokenizer", 0, BD_STR | BD_READ, &tokenizer, "DIR|FILE",
	     "copy the tokenizer of this model directory, or this tokenizer.json", 0, 0},
	    {"dtype", 0, BD_ENUM, &dtype, BD_DTYPE_WORDS, "type of the stored weights", 0, 0},
	    {"force", 'f', BD_FLAG, &force, NULL, "replace an existing output directory", 0, 0},
	    {0},
	};
	const struct bd_tool tool = {"bd-init",
	                             "make a randomly initialised model from a config.json",
	                             "[options] CONFIG|DIR -o DIR",
	                             opts,
	                             1,
	                             1};
	const char *config = argv[bd_opt_parse(&tool, &common, argc, argv)];

	if (output == NULL)
		bd_die(BD_USAGE, "no output directory; give -o DIR");
	struct bd_config c = bd_config_load(config);
	if (tokenizer != NULL)
		check_tokenizer(&c, tokenizer);
	struct bd_outdir *out = bd_outdir_open(output, force);
	struct bd_par *par = bd_par_new((int)common.threads);
	const char *from = tokenizer != NULL ? tokenizer : config;
	const char *companions = bd_is_dir(from) ? from : NULL;
	json_object_set_new(bd_config_bitdistill(&c), "stage", json_string("init"));
	json_t *history = history_of(config);
	bd_model_save_random(&c, (uint64_t)common.seed, companions, bd_outdir_path(out), dtype, history, par);
	if (tokenizer != NULL && companions == NULL) {
		char *to = bd_path(bd_outdir_path(out), "tokenizer.json");

		bd_copy_file(tokenizer, to);
		bd_free(to);
	}
	bd_outdir_commit(out);
	json_decref(history);
	bd_par_free(par);
	bd_config_free(&c);
	bd_stdout_close();
	return BD_OK;
}
