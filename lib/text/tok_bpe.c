/* Byte-pair encoding: of all neighbouring pairs the one with the lowest rank is merged first, the leftmost of
 * equals (Sennrich et al., arXiv 1508.07909; the order of ties is Hugging Face's). */
#include "text/tok_bpe.h"

#include "base/hash.h"
#include "base/msg.h"
#include "text/tok_norm.h"
#include "text/unicode.h"

#include <stdio.h>
#include <string.h>

#define NONE UINT32_MAX
#define FEW  48 /* symbols up to which a scan for the lowest rank beats the queue */

struct pair_slot {
	uint64_t pair; /* left << 32 | right */
	uint32_t rank; /* NONE: free */
};

struct bd_bpe {
	struct bd_vocab vocab;
	bool fuse_unk, ignore_merges;
	bool cuts; /* no merge crosses into a U+2581: pieces may be cut before it */
	struct pair_slot *pair;
	size_t pairs;         /* a power of two */
	uint32_t (*merge)[3]; /* by rank: left, right, result */
	size_t merges;
	int64_t one[256];  /* entries of a single byte, -1 */
	int64_t byte[256]; /* <0xHH> for byte fallback, -1 */
	int64_t mark, unk; /* U+2581 and the unknown token, -1 */
};

static struct pair_slot *pair_slot(const struct bd_bpe *b, uint32_t left, uint32_t right)
{
	uint64_t pair = (uint64_t)left << 32 | right;

	for (size_t i = (size_t)bd_hash_pair(pair, b->vocab.key);; i++) {
		struct pair_slot *s = &b->pair[i & (b->pairs - 1)];

		if (s->rank == NONE || s->pair == pair)
			return s;
	}
}

/* Rank of a pair, or NONE. */
static uint32_t rank(const struct bd_bpe *b, uint32_t left, uint32_t right)
{
	return pair_slot(b, left, right)->rank;
}

/* The two halves of a merge: "a b" or ["a", "b"]. */
static bool halves(const json_t *j, const char *half[2], size_t n[2])
{
	if (json_is_array(j) && json_array_size(j) == 2) {
		for (size_t i = 0; i < 2; i++) {
			half[i] = json_string_value(json_array_get(j, i));
			n[i] = json_string_length(json_array_get(j, i));
		}
		return half[0] != NULL && half[1] != NULL;
	}
	half[0] = json_string_value(j);
	half[1] = half[0] != NULL ? memchr(half[0], ' ', json_string_length(j)) : NULL;
	if (half[1] == NULL)
		return false;
	n[0] = (size_t)(half[1]++ - half[0]);
	n[1] = json_string_length(j) - n[0] - 1;
	return memchr(half[1], ' ', n[1]) == NULL;
}

/* Bytes of s[n] before the first U+2581 that follows another character. */
static size_t word(const char *s, size_t n)
{
	size_t i = 0, mark = strlen(BD_METASPACE);

	while (n - i >= mark && !memcmp(s + i, BD_METASPACE, mark))
		i += mark;
	const char *next = bd_tok_find(s + i, n - i, BD_METASPACE);
	return next != NULL ? (size_t)(next - s) : n;
}

static void add_merge(struct bd_bpe *b, size_t r, const json_t *j, struct bd_buf *whole, const char *name)
{
	const char *half[2];
	size_t n[2];

	if (!halves(j, half, n))
		bd_die(BD_DATA, "%s: merge %zu is neither \"a b\" nor [\"a\", \"b\"]", name, r);
	bd_buf_clear(whole);
	bd_buf_add(whole, half[0], n[0]);
	bd_buf_add(whole, half[1], n[1]);
	int64_t id[3] = {bd_vocab_find(&b->vocab, half[0], n[0]), bd_vocab_find(&b->vocab, half[1], n[1]),
	                 bd_vocab_find(&b->vocab, whole->p, whole->n)};
	for (size_t k = 0; k < 3; k++) {
		if (id[k] < 0)
			bd_die(BD_DATA, "%s: merge %zu: \"%s\" or a half of it is not in the vocabulary",
			       name, r, whole->p);
		b->merge[r][k] = (uint32_t)id[k];
	}
	b->cuts = b->cuts && word(whole->p, whole->n) == whole->n;
	struct pair_slot *s = pair_slot(b, b->merge[r][0], b->merge[r][1]);
	s->pair = (uint64_t)id[0] << 32 | (uint64_t)id[1];
	s->rank = (uint32_t)r;
}

static void read_merges(struct bd_bpe *b, const json_t *merges, const char *name)
{
	struct bd_buf whole = {0};

	if (!json_is_array(merges) || json_array_size(merges) > BD_MAX_ID)
		bd_die(BD_DATA, "%s: model: \"merges\" is missing or not a list", name);
	b->merges = json_array_size(merges);
	b->merge = bd_alloc(b->merges, sizeof(*b->merge));
	for (b->pairs = 16; b->pairs < b->merges + b->merges / 2;)
		b->pairs *= 2;
	b->pair = bd_alloc(b->pairs, sizeof(*b->pair));
	memset(b->pair, 0xff, b->pairs * sizeof(*b->pair));
	for (size_t i = 0; i < b->merges; i++)
		add_merge(b, i, json_array_get(merges, i), &whole, name);
	bd_buf_free(&whole);
}

static void refuse(const json_t *model, const char *key, const char *name)
{
	const json_t *j = bd_json_get(model, key);

	if (j != NULL && !(json_is_string(j) && !*json_string_value(j)) &&
	    !(json_is_number(j) && json_number_value(j) == 0))
		bd_die(BD_DATA, "%s: model: \"%s\" is not supported", name, key);
}

struct bd_bpe *bd_bpe_new(const json_t *model, bool byte_level, const char *name)
{
	struct bd_bpe *b = bd_zalloc(1, sizeof(*b));
	const char *type = bd_json_str(model, "type", "BPE", name),
	           *unk = bd_json_str(model, "unk_token", NULL, name);
	bool fallback = bd_json_bool(model, "byte_fallback", false, name);

	if (strcmp(type, "BPE"))
		bd_die(BD_DATA, "%s: model: %s is not supported, only BPE", name, type);
	refuse(model, "dropout", name);
	refuse(model, "continuing_subword_prefix", name);
	refuse(model, "end_of_word_suffix", name);
	if (fallback && byte_level)
		bd_die(BD_DATA, "%s: model: byte_fallback with a byte-level vocabulary is not supported",
		       name);
	b->fuse_unk = bd_json_bool(model, "fuse_unk", false, name);
	b->ignore_merges = bd_json_bool(model, "ignore_merges", false, name);
	bd_vocab_read(&b->vocab, bd_json_get(model, "vocab"), byte_level, name);
	b->mark = byte_level ? -1 : bd_vocab_key(&b->vocab, BD_METASPACE, strlen(BD_METASPACE));
	b->cuts = b->mark >= 0 && !b->ignore_merges;
	read_merges(b, bd_json_get(model, "merges"), name);
	for (int i = 0; i < 256; i++) {
		char byte = (char)i, hex[8];

		snprintf(hex, sizeof(hex), "<0x%02X>", (unsigned)i);
		b->one[i] = bd_vocab_key(&b->vocab, &byte, 1);
		b->byte[i] = fallback ? bd_vocab_key(&b->vocab, hex, 6) : -1;
	}
	b->unk = unk != NULL ? bd_vocab_find(&b->vocab, unk, strlen(unk)) : -1;
	return b;
}

void bd_bpe_free(struct bd_bpe *b)
{
	if (b == NULL)
		return;
	bd_vocab_free(&b->vocab);
	bd_free(b->pair);
	bd_free(b->merge);
	bd_free(b);
}

const struct bd_vocab *bd_bpe_vocab(const struct bd_bpe *b)
{
	return &b->vocab;
}

size_t bd_bpe_merges(const struct bd_bpe *b)
{
	return b->merges;
}

void bd_bpe_merge_at(const struct bd_bpe *b, size_t rank, uint32_t pair[2])
{
	pair[0] = b->merge[rank][0];
	pair[1] = b->merge[rank][1];
}

uint32_t bd_bpe_merged(const struct bd_bpe *b, size_t rank)
{
	return b->merge[rank][2];
}

bool bd_bpe_is_byte(const struct bd_bpe *b, uint32_t id)
{
	for (size_t i = 0; i < 256; i++)
		if (b->byte[i] == id)
			return true;
	return false;
}

/* A symbol's rank is that of the pair it makes with the next one; a symbol that is
 * merged away has id NONE. */
struct bd_bpe_symbol {
	uint32_t id, rank, prev, next; /* neighbours by index, NONE at the ends */
};

static void reserve(struct bd_bpe_work *w, size_t n)
{
	if (n <= w->cap)
		return;
	if (n >= NONE)
		bd_die(BD_DATA, "tokenizer: a piece of %zu bytes that cannot be split is too long", n);
	size_t cap = n > 2 * w->cap ? n : 2 * w->cap;
	bd_bpe_work_free(w);
	w->symbol = bd_alloc(cap, sizeof(*w->symbol));
	w->heap = bd_alloc(cap, 3 * sizeof(*w->heap));
	w->cap = cap;
}

void bd_bpe_work_free(struct bd_bpe_work *w)
{
	bd_free(w->symbol);
	bd_free(w->heap);
	*w = (struct bd_bpe_work){.made = w->made};
}

/* The character (byte-level: byte) at s: its id or -1. */
static int64_t unit(const struct bd_bpe *b, const char *s, size_t *len)
{
	*len = 1;
	if (b->vocab.byte_level || (unsigned char)*s < 0x80)
		return b->one[(unsigned char)*s];
	bd_utf8(s, len);
	return *len == 3 && !memcmp(s, BD_METASPACE, 3) ? b->mark : bd_vocab_key(&b->vocab, s, *len);
}

/* False, and nothing written, unless all bytes of the character have their <0xHH>. */
static bool fall_back(const struct bd_bpe *b, const char *s, size_t len, struct bd_bpe_symbol *sym, size_t *n)
{
	for (size_t i = 0; i < len; i++)
		if (b->byte[(unsigned char)s[i]] < 0)
			return false;
	for (size_t i = 0; i < len; i++)
		sym[(*n)++].id = (uint32_t)b->byte[(unsigned char)s[i]];
	return true;
}

/* Symbols of s[n] before any merge; an unknown token is written when the next known one comes. */
static size_t start(const struct bd_bpe *b, const char *s, size_t n, struct bd_bpe_symbol *sym)
{
	size_t count = 0, len;
	bool unknown = false;

	for (size_t i = 0; i < n; i += len) {
		int64_t id = unit(b, s + i, &len);

		if (id < 0 && fall_back(b, s + i, len, sym, &count))
			continue;
		if (unknown && (id >= 0 || !b->fuse_unk)) {
			sym[count++].id = (uint32_t)b->unk;
			unknown = false;
		}
		if (id >= 0)
			sym[count++].id = (uint32_t)id;
		else
			unknown = b->unk >= 0;
	}
	if (unknown)
		sym[count++].id = (uint32_t)b->unk;
	return count;
}

/* n <= FEW symbols: look for the lowest rank, merge, close the gap. Returns the symbols left. */
static size_t merge_few(const struct bd_bpe *b, struct bd_bpe_symbol *sym, size_t n, struct bd_ids *made)
{
	for (size_t i = 0; i + 1 < n; i++)
		sym[i].rank = rank(b, sym[i].id, sym[i + 1].id);
	while (n > 1) {
		size_t best = 0;

		for (size_t i = 1; i + 1 < n; i++)
			if (sym[i].rank < sym[best].rank)
				best = i;
		if (sym[best].rank == NONE)
			break;
		sym[best].id = b->merge[sym[best].rank][2];
		if (made != NULL)
			bd_ids_push(made, sym[best].id);
		n--;
		memmove(sym + best + 1, sym + best + 2, (n - best - 1) * sizeof(*sym));
		if (best + 1 < n)
			sym[best].rank = rank(b, sym[best].id, sym[best + 1].id);
		if (best)
			sym[best - 1].rank = rank(b, sym[best - 1].id, sym[best].id);
	}
	return n;
}

/* A binary heap of rank << 32 | index, lowest first. */
static void push(uint64_t *heap, size_t *n, uint64_t key)
{
	size_t i = (*n)++;

	for (; i && heap[(i - 1) / 2] > key; i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = key;
}

static uint64_t pop(uint64_t *heap, size_t *n)
{
	uint64_t top = heap[0], key = heap[--*n];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < *n) {
		if (child + 1 < *n && heap[child + 1] < heap[child])
			child++;
		if (heap[child] >= key)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = key;
	return top;
}

/* Ranks symbol i with its neighbour and queues the pair. */
static void queue(const struct bd_bpe *b, struct bd_bpe_symbol *sym, uint32_t i, uint64_t *heap, size_t *n)
{
	sym[i].rank = sym[i].next == NONE ? NONE : rank(b, sym[i].id, sym[sym[i].next].id);
	if (sym[i].rank != NONE)
		push(heap, n, (uint64_t)sym[i].rank << 32 | i);
}

/* Any number of symbols. At most n - 1 pairs at the start and two after each of at most n - 1 merges are
 * queued: under 3 n. A queued pair is stale if its first symbol is gone or now has another rank. */
static size_t merge_many(const struct bd_bpe *b, struct bd_bpe_symbol *sym, size_t count, uint64_t *heap,
                         struct bd_ids *made)
{
	size_t queued = 0, left = 0;
	uint32_t n = (uint32_t)count;

	for (uint32_t i = 0; i < n; i++) {
		sym[i].prev = i ? i - 1 : NONE;
		sym[i].next = i + 1 < n ? i + 1 : NONE;
	}
	for (uint32_t i = 0; i < n; i++)
		queue(b, sym, i, heap, &queued);
	while (queued) {
		uint64_t top = pop(heap, &queued);
		struct bd_bpe_symbol *s = &sym[(uint32_t)top];

		if (s->id == NONE || s->rank != top >> 32)
			continue;
		struct bd_bpe_symbol *gone = &sym[s->next];
		s->id = b->merge[s->rank][2];
		if (made != NULL)
			bd_ids_push(made, s->id);
		s->next = gone->next;
		gone->id = NONE;
		if (s->next != NONE)
			sym[s->next].prev = (uint32_t)top;
		if (s->prev != NONE)
			queue(b, sym, s->prev, heap, &queued);
		queue(b, sym, (uint32_t)top, heap, &queued);
	}
	for (uint32_t i = 0; i < n; i++)
		if (sym[i].id != NONE)
			sym[left++].id = sym[i].id;
	return left;
}

/* Merges s[n] in w->symbol; returns the symbols left. */
static size_t merge(const struct bd_bpe *b, const char *s, size_t n, struct bd_bpe_work *w)
{
	size_t count;

	reserve(w, n);
	count = start(b, s, n, w->symbol);
	for (size_t i = 0; w->made != NULL && i < count; i++)
		bd_ids_push(w->made, w->symbol[i].id);
	return count <= FEW ? merge_few(b, w->symbol, count, w->made)
	                    : merge_many(b, w->symbol, count, w->heap, w->made);
}

static void encode(const struct bd_bpe *b, const char *s, size_t n, struct bd_bpe_work *w, struct bd_ids *out)
{
	int64_t whole = b->ignore_merges ? bd_vocab_key(&b->vocab, s, n) : -1;

	if (whole >= 0) {
		bd_ids_push(out, (uint32_t)whole);
		return;
	}
	size_t count = merge(b, s, n, w);
	for (size_t i = 0; i < count; i++)
		bd_ids_push(out, w->symbol[i].id);
}

void bd_bpe_piece(const struct bd_bpe *b, const char *s, size_t n, struct bd_bpe_work *w, struct bd_ids *out)
{
	for (size_t len; n; s += len, n -= len) {
		len = b->cuts ? word(s, n) : n;
		encode(b, s, len, w, out);
	}
}

/* ---- what tokens are made of ---- */

/* Whether an entry is one character. */
static bool character(const struct bd_entry *e)
{
	size_t len;

	return e->text != NULL && e->key_n > 0 && (bd_utf8(e->key, &len), len == e->key_n);
}

void bd_bpe_units(const struct bd_bpe *b, struct bd_ids *out)
{
	bool bytes = true;

	for (size_t i = 0; i < 256; i++) {
		if (b->one[i] >= 0)
			bd_ids_push(out, (uint32_t)b->one[i]);
		if (b->byte[i] >= 0)
			bd_ids_push(out, (uint32_t)b->byte[i]);
		bytes = bytes && b->byte[i] >= 0;
	}
	if (b->mark >= 0)
		bd_ids_push(out, (uint32_t)b->mark);
	if (b->unk >= 0)
		bd_ids_push(out, (uint32_t)b->unk);
	for (size_t i = 0; !bytes && !b->vocab.byte_level && i < b->vocab.size; i++)
		if (character(&b->vocab.entry[i]))
			bd_ids_push(out, (uint32_t)i);
}

void bd_bpe_parts(const struct bd_bpe *b, uint32_t id, struct bd_bpe_work *w, struct bd_ids *out)
{
	const struct bd_entry *e;
	size_t before = out->n, left;

	if (id >= b->vocab.size || (e = &b->vocab.entry[id])->text == NULL)
		return;
	w->made = out;
	left = merge(b, e->key, e->key_n, w);
	w->made = NULL;
	if (left != 1 || w->symbol[0].id != id)
		out->n = before;
}
