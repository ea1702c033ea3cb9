/* Greedy continuations of several prompts at once. */
#ifndef BD_GREEDY_H
#define BD_GREEDY_H

#include "net/net.h"
#include "text/tokenizer.h"

struct bd_greedy {
	const uint32_t *prompt;
	size_t n;   /* tokens of it, > 0 */
	size_t max; /* maximum tokens to add */
	/* out */
	struct bd_ids ids; /* what was added, without the token that ends a text; appended to */
	bool end;          /* that token appeared */
};
/* Continues each of g[n] by the likeliest tokens, the first of equals, until one that the net's config says
 * ends a text. All run in one batch; in a ternary net a continuation does not depend on the others. Dies
 * BD_DATA when prompt and max exceed the context of the config. */
void bd_greedy(struct bd_net *net, struct bd_acts *acts, struct bd_greedy *g, size_t n);

#endif
