/* Texts to tokens and back. */
#include "door/door.h"

#include <string.h>

struct coding {
	const struct bd_infer *m;
	const char *text; /* [n] from, or */
	const uint32_t *id;
	size_t n;
	unsigned flags;
	void *to; /* [cap] of size bytes each */
	size_t cap, got;
};

static void give(struct coding *c, const void *p, size_t n, size_t size)
{
	size_t fits = n < c->cap ? n : c->cap;

	c->got = n;
	if (fits > 0)
		memcpy(c->to, p, fits * size);
}

static void encode(void *ctx)
{
	struct coding *c = ctx;
	struct bd_ids ids = {0};

	bd_tok_encode(bd_infer_tok(c->m), c->n > 0 ? c->text : "", c->n, c->flags, &ids);
	give(c, ids.id, ids.n, sizeof(*ids.id));
}

static void decode(void *ctx)
{
	struct coding *c = ctx;
	struct bd_buf text = {0};

	bd_tok_decode(bd_infer_tok(c->m), c->id, c->n, false, &text);
	give(c, text.p, text.n, 1);
}

int64_t bd_encode(const bd_model *m, const char *text, size_t n, int flags, uint32_t *ids, size_t cap)
{
	struct coding c = {.text = text, .n = n, .to = ids, .cap = cap};
	int status;

	if (m == NULL)
		return bd_door_missing("model");
	if ((text == NULL && n > 0) || (ids == NULL && cap > 0) || (flags & ~(BD_BEGIN | BD_PLAIN)) != 0)
		return bd_door_refuse("bd_encode: NULL where text or ids should be, or unknown flags");
	c.m = m->infer;
	c.flags = (flags & BD_BEGIN ? BD_TOK_BOS : 0u) | (flags & BD_PLAIN ? BD_TOK_PLAIN : 0u);
	status = bd_door_once(m, encode, &c);
	return status < 0 ? status : (int64_t)c.got;
}

int64_t bd_decode(const bd_model *m, const uint32_t *ids, size_t n, char *text, size_t cap)
{
	struct coding c = {.id = ids, .n = n, .to = text, .cap = cap};
	int status;

	if (m == NULL)
		return bd_door_missing("model");
	if ((ids == NULL && n > 0) || (text == NULL && cap > 0))
		return bd_door_refuse("bd_decode: NULL where ids or text should be");
	for (size_t i = 0; i < n; i++)
		if (ids[i] >= bd_vocab(m))
			return bd_door_refuse("bd_decode: id %u is not below %zu", ids[i], bd_vocab(m));
	c.m = m->infer;
	status = bd_door_once(m, decode, &c);
	return status < 0 ? status : (int64_t)c.got;
}
