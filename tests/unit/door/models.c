#include "door/models.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "device.h"
#include "model/model.h"
#include "pack/pack.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/bd-test-door.XXXXXX";
static char *tokenizer;

static const char head[] = "{\"architectures\": [\"Qwen3ForCausalLM\"], \"model_type\": \"qwen3\", "
                           "\"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
                           "\"num_key_value_heads\": 2, \"head_dim\": 16, \"intermediate_size\": 96, "
                           "\"vocab_size\": 384, \"max_position_embeddings\": 600, \"hidden_act\": \"silu\", "
                           "\"rms_norm_eps\": 1e-06, \"rope_theta\": 10000.0, \"attention_bias\": false, "
                           "\"tie_word_embeddings\": true, \"initializer_range\": 0.2";

static void make(const char *dir, const char *rest, bool with_tokenizer)
{
	char *config = bd_path(dir, "config.json"), *tok = bd_path(dir, "tokenizer.json"),
	     *text = bd_sprintf("%s%s}", head, rest);
	json_t *json = bd_json_parse(text, strlen(text), dir);
	struct bd_config c = bd_config_parse(json, dir);
	struct bd_model *m = bd_model_new(&c);

	bd_model_init(m, 3);
	bd_model_save(m, dir, BD_F32, NULL);
	bd_write_file(config, text, strlen(text));
	if (with_tokenizer)
		bd_copy_file(tokenizer, tok);
	json_decref(json);
	bd_model_free(m);
	bd_config_free(&c);
	bd_free(config);
	bd_free(tok);
	bd_free(text);
}

void models_make(void)
{
	struct bd_pack_opt o = {.ternary = BD_GGML_I2_S, .embd = BD_GGML_F16};

	tokenizer = realpath(MODELS_TOKENIZER, NULL);
	if (tokenizer == NULL || mkdtemp(root) == NULL || chdir(root) != 0)
		bd_die(BD_SYS, "%s:", root);
	if (mkdir("lm", 0777) != 0 || mkdir("task", 0777) != 0 || mkdir("ask", 0777) != 0 ||
	    mkdir("bare", 0777) != 0)
		bd_die(BD_SYS, "mkdir:");
	make("lm", "", true);
	make("bare", "", false);
	make("task",
	     ", \"bitdistill\": {\"norms\": \"subln\", \"weights\": \"ternary\", \"task\": {\"template\": "
	     "{\"name\": \"match\", \"fields\": [\"left\", \"right\", \"label\"], \"prompt\": \"{left} / "
	     "{right}:\", \"classes\": [\"different\", \"same\"], \"labels\": [\"-\", \"+\"]}}}",
	     true);
	make(
	    "ask",
	    ", \"bitdistill\": {\"norms\": \"subln\", \"weights\": \"ternary\", \"task\": {\"template\": "
	    "{\"name\": \"short\", \"fields\": [\"body\", \"title\"], \"prompt\": \"{body} =>\", \"answer\": "
	    "\" {title}\"}}}",
	    true);
	bd_pack_write("task", "task.gguf", &o, cpu());
}

void models_remove(void)
{
	if (chdir("/") == 0)
		bd_remove_tree(root);
	free(tokenizer);
}

const char *bad_copy(const char *from, const char *file, const char *text, size_t n)
{
	DIR *d = opendir(from);
	struct dirent *e;
	char *to = bd_path("bad", file);

	if (bd_exists("bad"))
		bd_remove_tree("bad");
	if (d == NULL || mkdir("bad", 0777) != 0)
		bd_die(BD_SYS, "%s:", from);
	while ((e = readdir(d)) != NULL) {
		char *a = bd_path(from, e->d_name), *b = bd_path("bad", e->d_name);

		if (e->d_name[0] != '.' && strcmp(e->d_name, file) != 0)
			bd_copy_file(a, b);
		bd_free(a);
		bd_free(b);
	}
	closedir(d);
	if (text != NULL)
		bd_write_file(to, text, n);
	bd_free(to);
	return "bad";
}

const char *bad_edit(const char *from, const char *file, const char *old, const char *new)
{
	char *path = bd_path(from, file), *text = bd_read_file(path, NULL), *at = strstr(text, old);
	char *edited;

	if (at == NULL)
		bd_die(BD_DATA, "%s: no %s in it", path, old);
	edited = bd_sprintf("%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
	bad_copy(from, file, edited, strlen(edited));
	bd_free(edited);
	bd_free(text);
	bd_free(path);
	return "bad";
}
