#include "format/gguf_digest.h"

#include "base/digest.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "format/gguf_parts.h"
#include "format/gguf_ternary.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
	HEX = 16,
	KEYS_AT = 4 + 4 + 8 + 8, /* after magic, version and the two counts */
	PIECE = 1 << 17,         /* bytes: what is hashed is looked at again while a cache has it */
};

/* ---- the header ---- */

static bool header_right(const struct bd_gguf *g, const struct gguf_value *last)
{
	struct bd_hash *h = bd_hash_new();
	char hex[HEX + 1];

	bd_hash_add(h, g->map.p + KEYS_AT,
	            (size_t)(last->p - g->map.p) - KEYS_AT - (8 + strlen(last->key) + 4 + 8));
	bd_hash_add(h, g->map.p + g->infos, g->at - g->infos);
	snprintf(hex, sizeof(hex), "%016" PRIx64, bd_hash_value(h));
	bd_hash_free(h);
	return last->type == BD_GGUF_STR && last->count == HEX && memcmp(hex, last->p, HEX) == 0;
}

/* With one of the two keys there, a damaged name of the other does not hide it: the digests of the tensors
 * are last, but for the header's own. */
void bd_gguf_check_header(const struct bd_gguf *g)
{
	const struct gguf_value *last = g->n_value > 0 ? &g->value[g->n_value - 1] : NULL;
	bool right = true;

	if (bd_gguf_has(g, BD_GGUF_DIGEST))
		right = strcmp(last->key, BD_GGUF_DIGEST) == 0 && header_right(g, last);
	else if (bd_gguf_has(g, BD_GGUF_TENSOR_DIGESTS))
		right = strcmp(last->key, BD_GGUF_TENSOR_DIGESTS) == 0;
	if (!right && bd_verify_wanted())
		bd_die(BD_DATA,
		       "%s: its keys are not what was written: their digest is another; if the file was not "
		       "damaged "
		       "but edited, give --no-verify",
		       g->path);
}

bool bd_gguf_digested(const struct bd_gguf *g)
{
	return bd_gguf_has(g, BD_GGUF_DIGEST) && bd_gguf_has(g, BD_GGUF_TENSOR_DIGESTS);
}

const char *bd_gguf_identity(const struct bd_gguf *g)
{
	return bd_verify_wanted() ? bd_gguf_str_or(g, BD_GGUF_DIGEST, "") : "";
}

/* ---- tensors ---- */

struct pass {
	const struct bd_gguf *g;
	const char *const *digest; /* of each tensor; NULL: no digests */
	bool codes;                /* look at them, too */
	atomic_size_t next;        /* tensor, taken by whoever is free: they differ in size */
	unsigned char *bad;        /* of each: the bits below */
};
enum { BYTES = 1, CODES = 2 };

static unsigned char look(const struct pass *x, size_t i)
{
	const struct bd_gguf_tensor *t = &x->g->tensor[i];
	const unsigned char *p = t->data;
	size_t n, codes = x->codes && t->type == BD_GGML_I2_S ? t->bytes - BD_TAIL_BYTES : 0;
	struct bd_hash *h = x->digest != NULL ? bd_hash_new() : NULL;
	unsigned char bad = 0;
	char hex[HEX + 1];

	for (size_t at = 0; at < t->bytes && (h != NULL || at < codes); at += n) {
		n = t->bytes - at < PIECE ? t->bytes - at : PIECE;
		if (h != NULL)
			bd_hash_add(h, p + at, n);
		if (at < codes && !bd_i2_s_valid(p + at, codes - at < n ? codes - at : n))
			bad |= CODES;
	}
	if (h == NULL)
		return bad;
	snprintf(hex, sizeof(hex), "%016" PRIx64, bd_hash_value(h));
	bd_hash_free(h);
	return bad | (strcmp(hex, x->digest[i]) != 0 ? BYTES : 0);
}

static void look_at_some(void *ctx, size_t begin, size_t end, int slice)
{
	struct pass *x = ctx;

	(void)begin;
	(void)end;
	(void)slice;
	for (size_t i; (i = atomic_fetch_add(&x->next, 1)) < x->g->n_tensor;)
		x->bad[i] = look(x, i);
}

/* Looks at all tensors; the caller frees bad[tensors]. */
static unsigned char *run(const struct bd_gguf *g, struct bd_par *par, bool digests, bool codes)
{
	struct pass x = {.g = g, .codes = codes, .bad = bd_zalloc(g->n_tensor + 1, 1)};
	const void *data = NULL;
	uint32_t type;
	size_t n;

	if (digests && bd_gguf_has(g, BD_GGUF_TENSOR_DIGESTS)) {
		n = bd_gguf_array(g, BD_GGUF_TENSOR_DIGESTS, &type, &data);
		if (type != BD_GGUF_STR || n != g->n_tensor)
			bd_die(BD_DATA, "%s: " BD_GGUF_TENSOR_DIGESTS ": %zu entries for %zu tensors",
			       g->path, n, g->n_tensor);
		x.digest = data;
	}
	bd_par_for(par, (size_t)bd_par_threads(par), look_at_some, &x);
	return x.bad;
}

size_t bd_gguf_damaged(const struct bd_gguf *g, struct bd_par *par, const struct bd_gguf_tensor **first)
{
	unsigned char *bad = run(g, par, true, false);
	size_t n = 0;

	for (size_t i = g->n_tensor; i-- > 0;)
		if (bad[i] != 0) {
			*first = &g->tensor[i];
			n++;
		}
	bd_free(bad);
	return n;
}

void bd_gguf_verify(const struct bd_gguf *g, struct bd_par *par)
{
	unsigned char *bad = run(g, par, bd_verify_wanted(), true);

	for (size_t i = 0; i < g->n_tensor; i++) {
		if (bad[i] & BYTES)
			bd_die(BD_DATA,
			       "%s: tensor %s: damaged: its bytes have another digest than when they were "
			       "packed; copy or "
			       "pack the file again",
			       g->path, g->tensor[i].name);
		if (bad[i] & CODES)
			bd_die(BD_DATA, "%s: tensor %s: has a code other than -1, 0 and 1", g->path,
			       g->tensor[i].name);
	}
	bd_free(bad);
}
