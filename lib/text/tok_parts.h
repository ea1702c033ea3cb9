/* What the parts of tokenizer.h share. */
#ifndef BD_TOK_PARTS_H
#define BD_TOK_PARTS_H

#include "base/hash.h"
#include "text/tok_added.h"
#include "text/tok_bpe.h"
#include "text/tok_dec.h"
#include "text/tok_norm.h"
#include "text/tok_post.h"
#include "text/tok_pre.h"

struct bd_tok {
	char digest[BD_HEX];
	bool rebuilt; /* from GGUF's keys */
	char *json;
	size_t json_n;
	struct bd_tok_norm norm;
	struct bd_pre pre;
	struct bd_bpe *bpe;
	const struct bd_vocab *vocab;
	struct bd_addeds added;
	struct bd_dec dec;
	struct bd_post post;
};

#endif
