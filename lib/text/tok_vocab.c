/* Vocabulary: one hash table over what the entries stand for, so that byte-level text is looked up as the
 * bytes it is. */
#include "text/tok_vocab.h"

#include "base/hash.h"
#include "base/msg.h"
#include "text/unicode.h"

#include <inttypes.h>
#include <string.h>

#define NONE UINT64_MAX

/* GPT-2's stand-ins: printable bytes are themselves, the other 68 are U+0100 + n in their order (0-32,
 * 127-160, 173). */
static int stand_in(uint32_t c)
{
	if ((c >= 33 && c <= 126) || (c >= 161 && c <= 172) || (c >= 174 && c <= 255))
		return (int)c;
	if (c < 256 || c >= 256 + 68)
		return -1;
	c -= 256;
	return (int)(c < 33 ? c : c < 67 ? c - 33 + 127 : 173);
}

/* Writes the bytes that s[n] means to out[n]; returns how many, or -1 if a character is not a stand-in. */
static int64_t stand_ins(const char *s, size_t n, char *out)
{
	int64_t k = 0;

	for (size_t i = 0, len; i < n; i += len) {
		int b = stand_in(bd_utf8(s + i, &len));

		if (b < 0)
			return -1;
		out[k++] = (char)b;
	}
	return k;
}

bool bd_stand_ins(const char *s, size_t n, struct bd_buf *out)
{
	char *bytes = bd_alloc(n, 1);
	int64_t k = stand_ins(s, n, bytes);

	if (k >= 0)
		bd_buf_add(out, bytes, (size_t)k);
	bd_free(bytes);
	return k >= 0;
}

/* A slot holds the upper half of the key's hash and the id; NONE: free. */
static uint64_t *slot(const struct bd_vocab *v, const char *key, size_t n, bool bytes, uint64_t hash)
{
	for (size_t i = (size_t)hash;; i++) {
		uint64_t *s = &v->slot[i & (v->slots - 1)];

		if (*s == NONE)
			return s;
		if (*s >> 32 != hash >> 32)
			continue;
		const struct bd_entry *e = &v->entry[(uint32_t)*s];
		if (e->key_n == n && e->bytes == bytes && !memcmp(e->key, key, n))
			return s;
	}
}

static int64_t find(const struct bd_vocab *v, const char *key, size_t n, bool bytes)
{
	uint64_t s = *slot(v, key, n, bytes, bd_hash_keyed(key, n, v->key));

	return s == NONE ? -1 : (int64_t)(uint32_t)s;
}

int64_t bd_vocab_key(const struct bd_vocab *v, const char *key, size_t n)
{
	return find(v, key, n, v->byte_level);
}

int64_t bd_vocab_find(const struct bd_vocab *v, const char *s, size_t n)
{
	char few[256], *key = n > sizeof(few) ? bd_alloc(n, 1) : few;
	int64_t k = v->byte_level && bd_utf8_valid(s, n) ? stand_ins(s, n, key) : -1;
	int64_t id = k > 0 ? find(v, key, (size_t)k, true) : find(v, s, n, false);

	if (key != few)
		bd_free(key);
	return id;
}

/* Highest id + 1 and the bytes of all spellings. */
static size_t measure(struct bd_vocab *v, json_t *vocab, const char *name)
{
	size_t bytes = 0, count = json_object_size(vocab),
	       ids = 4 * count > BD_FEW_IDS ? 4 * count : BD_FEW_IDS;

	for (void *i = json_object_iter(vocab); i != NULL; i = json_object_iter_next(vocab, i)) {
		const json_t *value = json_object_iter_value(i);
		json_int_t id = json_integer_value(value);

		if (!json_is_integer(value) || id < 0 || id > BD_MAX_ID)
			bd_die(BD_DATA, "%s: vocab: the id of \"%s\" is not a whole number from 0 to %d",
			       name, json_object_iter_key(i), BD_MAX_ID);
		if ((size_t)id >= ids)
			bd_die(BD_DATA, "%s: vocab: %zu entries, but \"%s\" has the id %lld", name, count,
			       json_object_iter_key(i), (long long)id);
		if (json_object_iter_key_len(i) > BD_MAX_TOKEN)
			bd_die(BD_DATA, "%s: vocab: the entry with id %lld has %zu bytes; at most %d", name,
			       (long long)id, json_object_iter_key_len(i), BD_MAX_TOKEN);
		if ((size_t)id >= v->size)
			v->size = (size_t)id + 1;
		bytes += json_object_iter_key_len(i);
	}
	return bytes;
}

/* Adds an entry whose spelling and key go to *block. */
static void add(struct bd_vocab *v, uint32_t id, const char *text, size_t n, char **block, const char *name)
{
	struct bd_entry *e = &v->entry[id];

	if (e->text != NULL)
		bd_die(BD_DATA, "%s: vocab: \"%s\" and \"%s\" have the same id %" PRIu32, name, e->text, text,
		       id);
	e->text = e->key = memcpy(*block, text, n + 1);
	e->text_n = e->key_n = (uint32_t)n;
	*block += n + 1;
	int64_t k = v->byte_level ? stand_ins(text, n, *block) : -1;
	if (k > 0) {
		e->bytes = true;
		e->key = *block;
		e->key_n = (uint32_t)k;
		*block += k;
	}
	uint64_t hash = bd_hash_keyed(e->key, e->key_n, v->key);
	*slot(v, e->key, e->key_n, e->bytes, hash) = hash >> 32 << 32 | id;
}

void bd_vocab_read(struct bd_vocab *v, json_t *vocab, bool byte_level, const char *name)
{
	memset(v, 0, sizeof(*v));
	v->byte_level = byte_level;
	v->key = bd_hash_key();
	if (!json_is_object(vocab) || !json_object_size(vocab))
		bd_die(BD_DATA, "%s: model: \"vocab\" is missing or empty", name);
	size_t count = json_object_size(vocab), bytes = measure(v, vocab, name);
	if (bytes > UINT32_MAX / 4)
		bd_die(BD_DATA, "%s: vocab: more than 1 GiB of text", name);
	v->block = bd_alloc(2 * bytes + count, 1); /* a key is never longer than its spelling */
	v->entry = bd_zalloc(v->size, sizeof(*v->entry));
	for (v->slots = 16; v->slots < 2 * count;)
		v->slots *= 2;
	v->slot = bd_alloc(v->slots, sizeof(*v->slot));
	memset(v->slot, 0xff, v->slots * sizeof(*v->slot));
	char *block = v->block;
	for (void *i = json_object_iter(vocab); i != NULL; i = json_object_iter_next(vocab, i))
		add(v, (uint32_t)json_integer_value(json_object_iter_value(i)), json_object_iter_key(i),
		    json_object_iter_key_len(i), &block, name);
}

void bd_vocab_free(struct bd_vocab *v)
{
	bd_free(v->entry);
	bd_free(v->slot);
	bd_free(v->block);
	memset(v, 0, sizeof(*v));
}
