/* Chat templates: conversations as the texts that instruction-tuned models were trained on. A checkpoint
 * defines them in Jinja, which is recognised by its contents; these families are implemented:
 *
 *	chatml   <|im_start|>ROLE\nTEXT<|im_end|>\n ...
 *	         Qwen 1.5 to 2.5, SmolLM2; some have a system text of their own
 *	qwen3    the same; earlier thoughts are omitted, and an empty one turns thinking off
 *	llama3   <|start_header_id|>ROLE<|end_header_id|>\n\nTEXT<|eot_id|> ...
 *	         from 3.1 on with a system text that has a date
 *	gemma    <start_of_turn>ROLE\nTEXT<end_of_turn>\n ...
 *	         a system text becomes part of the first turn (Gemma 2: is refused)
 *	bitnet   Role: TEXT<|eot_id|> ...
 *	         BitNet b1.58 2B4T
 *	bitnet-gguf   Human: TEXT\n\nBITNETAssistant: <|end_of_text|>TEXT<|end_of_text|> ...
 *	         what Microsoft's GGUF file of the same model has; a system text is refused
 */
#ifndef BD_CHAT_H
#define BD_CHAT_H

#include "base/mem.h"
#include "base/word.h"
#include "text/tokenizer.h"

#include <stdbool.h>

/* Templates by name; AUTO: the checkpoint's own. */
/* clang-format off */
#define BD_CHAT_LIST(W) \
	W(BD_CHAT_NAMED_CHATML, "chatml") \
	W(BD_CHAT_NAMED_QWEN25, "qwen2.5") \
	W(BD_CHAT_NAMED_QWEN3,  "qwen3") \
	W(BD_CHAT_NAMED_LLAMA3, "llama3") \
	W(BD_CHAT_NAMED_GEMMA,  "gemma") \
	W(BD_CHAT_NAMED_BITNET, "bitnet") \
	W(BD_CHAT_NAMED_BITNET_GGUF, "bitnet-gguf")
/* clang-format on */
enum bd_chat_name { BD_CHAT_AUTO, BD_CHAT_LIST(BD_WORD_ID) };
#define BD_CHAT_WORDS "auto" BD_CHAT_LIST(BD_WORD_OR)

struct bd_chat {
	enum bd_chat_family {
		BD_CHAT_CHATML,
		BD_CHAT_QWEN3,
		BD_CHAT_LLAMA3,
		BD_CHAT_GEMMA,
		BD_CHAT_BITNET,
		BD_CHAT_BITNET_GGUF
	} family;
	char *system;      /* chatml: for a conversation without one; NULL: none */
	bool dated, today; /* llama3: a system text with a date, of today or as in the template */
	bool no_system;    /* a system text is refused */
	bool no_thinking;  /* qwen3; set as desired */
	char *bos;         /* all but chatml: the first token, "" if there is none */
	const char *end;   /* spelling of the token that ends a turn */
	/* What {% generation %} in the Jinja text encloses besides the answer and its end token. */
	bool span_from_head;   /* the marks before the answer */
	bool span_without_end; /* not the end token */
	bool span_to_next;     /* what stands before the next turn */
};

/* The Jinja text of a model directory (chat_template.jinja, or chat_template in tokenizer_config.json) or a
 * GGUF file; NULL if there is none. Caller frees. */
char *bd_chat_source(const char *path);
/* The template with this name (NULL for AUTO), or that of the Jinja text (NULL if it is unknown). tok: for
 * bos; may be NULL. */
struct bd_chat *bd_chat_named(enum bd_chat_name name, const struct bd_tok *tok);
struct bd_chat *bd_chat_detect(const char *jinja, const struct bd_tok *tok);
void bd_chat_free(struct bd_chat *c); /* NULL is fine */

struct bd_message {
	const char *role, *text; /* role: system, user or assistant */
};
/* Appends the text of m[n] with the beginning of the answer. It includes the first token, if there is one:
 * encode it without BD_TOK_BOS. What the template does not allow dies BD_DATA, naming `where`. */
void bd_chat_render(const struct bd_chat *c, const struct bd_message *m, size_t n, const char *where,
                    struct bd_buf *out);

/* To train on a conversation: the same without the beginning of another answer, and the bytes of out, from
 * begin to before end, that the model is to learn: in span[n], as many as returned, the text of each answer
 * of the assistant with its end token, as the template writes them (Qwen3 omits earlier thoughts); or what
 * {% generation %} encloses, if the template has it: the assistant mask of transformers'
 * apply_chat_template. bd_tok_encode_spans finds their tokens; encode without BD_TOK_BOS and BD_TOK_EOS. */
size_t bd_chat_spans(const struct bd_chat *c, const struct bd_message *m, size_t n, const char *where,
                     struct bd_buf *out, struct bd_span *span);

#endif
