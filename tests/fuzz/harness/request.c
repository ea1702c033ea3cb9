/* Requests to a small model: JSON objects with a prompt, messages or fields, and options. */
#include "fuzz.h"
#include "math/devices.h"
#include "model/model.h"
#include "run/answer.h"

static struct bd_infer *m;

static const char config[] =
    "{\"model_type\": \"qwen3\", \"hidden_size\": 8, \"num_hidden_layers\": 1, "
    "\"num_attention_heads\": 2, "
    "\"num_key_value_heads\": 1, \"head_dim\": 4, \"intermediate_size\": 8, \"vocab_size\": 384, "
    "\"max_position_embeddings\": 24, \"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-06, "
    "\"rope_theta\": 10000.0, "
    "\"tie_word_embeddings\": true, \"bitdistill\": {\"norms\": \"none\", \"task\": {\"template\": "
    "{\"name\": "
    "\"t\", \"fields\": [\"left\", \"label\"], \"prompt\": \"{left}:\", \"classes\": [\"no\", \"yes\"], "
    "\"labels\": [\"-\", \"+\"]}}}}";

static void answer(const char *text)
{
	struct bd_asked a = {.m = m, .template = BD_CHAT_NAMED_CHATML};
	json_t *o = bd_json_parse(text, strlen(text), "input");

	if (!json_is_object(o))
		bd_die(BD_DATA, "not an object");
	a.opts = (struct bd_gen_opts){.max_tokens = 4, .repeat_penalty = 1, .end = -1};
	a.opts.sampler.top_p = 1;
	json_decref(bd_answer_object(&a, o, "input"));
	json_decref(o);
	bd_asked_close(&a);
}

void fuzz_begin(void)
{
	char *tokenizer = bd_sprintf("%s/tests/golden/tok-bytes.json", fuzz_root()), *to;
	json_t *json = bd_json_parse(config, sizeof(config) - 1, "config");
	struct bd_config c = bd_config_parse(json, "config");
	struct bd_model *model = bd_model_new(&c);
	struct fuzz part = {config, sizeof(config) - 1};

	fuzz_file("d/config.json", part);
	to = bd_sprintf("%s/tokenizer.json", fuzz_dir("d"));
	bd_copy_file(tokenizer, to);
	bd_model_init(model, 3);
	bd_model_save(model, fuzz_dir("d"), BD_F32, NULL);
	fuzz_file("d/config.json", part); /* with the task */
	m = bd_infer_open(fuzz_dir("d"), bd_dev_cpu(NULL, NULL), false);
	/* what grows with the longest sequence is the model's, not a request's */
	answer("{\"left\": \"0123456789012345678901\"}");
	answer("{\"prompt\": \"01234567890123456789\"}");
	bd_model_free(model);
	bd_config_free(&c);
	json_decref(json);
	bd_free(to);
	bd_free(tokenizer);
}

static void read_request(void *ctx)
{
	char *text = fuzz_string(*(struct fuzz *)ctx);

	answer(text);
	bd_free(text);
}
FUZZ(read_request)
