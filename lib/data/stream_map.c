/* bds, the maps of a stream: a scanner takes one whole MessagePack object off the input, bounding every
 * length before it is used; msgpack-c unpacks it in place. */
#include "base/mem.h"
#include "data/stream_parts.h"

#include <string.h>

#define MAX_OBJECT ((size_t)1 << 30)
#define MAX_ITEMS  ((uint64_t)1 << 20) /* values in one object: msgpack-c spends 24 bytes on each */

/* ---- framing ---- */

/* Appends k bytes of input. Memory grows with the data received, not with an announced length. */
static const unsigned char *take(struct bd_source *s, size_t k)
{
	if (k > MAX_OBJECT - s->n)
		BAD(s, "record of over 1 GiB");
	size_t first = s->n;
	while (k > 0) {
		if (s->n == s->cap) {
			size_t cap = s->cap ? 2 * s->cap : (size_t)1 << 16;

			bd_in_weigh(s->in, s->n);
			s->p = bd_resize(s->p, s->cap, cap, 1);
			s->cap = cap;
		}
		size_t want = k < s->cap - s->n ? k : s->cap - s->n;
		if (bd_in_read(s->in, s->p + s->n, want) != want)
			bd_die(BD_DATA,
			       "%s: byte %" PRIu64
			       ": the stream ends inside a record; its writer died or the file was truncated",
			       bd_in_name(s->in), bd_in_offset(s->in));
		s->n += want;
		k -= want;
	}
	return s->p + first;
}

/* A big-endian number of 1, 2, 4 or 8 bytes. */
static uint64_t take_uint(struct bd_source *s, size_t bytes)
{
	const unsigned char *p = take(s, bytes);
	uint64_t v = 0;

	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

/* Takes one value without its children; returns how many those are. */
static uint64_t take_value(struct bd_source *s)
{
	unsigned tag = *take(s, 1);

	if (tag < 0x80 || tag >= 0xe0) /* small integer */
		return 0;
	if (tag < 0x90) /* map */
		return 2 * (tag & 15);
	if (tag < 0xa0) /* array */
		return tag & 15;
	if (tag < 0xc0) { /* string */
		take(s, tag & 31);
		return 0;
	}
	switch (tag) {
	case 0xc0: /* nil, false, true */
	case 0xc2:
	case 0xc3:
		return 0;
	case 0xc4: /* bin 8, 16, 32 */
	case 0xc5:
	case 0xc6:
		take(s, take_uint(s, (size_t)1 << (tag - 0xc4)));
		return 0;
	case 0xd9: /* str 8, 16, 32 */
	case 0xda:
	case 0xdb:
		take(s, take_uint(s, (size_t)1 << (tag - 0xd9)));
		return 0;
	case 0xca: /* float, double */
	case 0xcb:
		take(s, (size_t)4 << (tag - 0xca));
		return 0;
	case 0xcc: /* uint 8, 16, 32, 64 */
	case 0xcd:
	case 0xce:
	case 0xcf:
		take(s, (size_t)1 << (tag - 0xcc));
		return 0;
	case 0xd0: /* int 8, 16, 32, 64 */
	case 0xd1:
	case 0xd2:
	case 0xd3:
		take(s, (size_t)1 << (tag - 0xd0));
		return 0;
	case 0xdc: /* array 16, 32 */
	case 0xdd:
		return take_uint(s, (size_t)2 << (tag - 0xdc));
	case 0xde: /* map 16, 32 */
	case 0xdf:
		return 2 * take_uint(s, (size_t)2 << (tag - 0xde));
	default:
		bd_die(BD_DATA,
		       "%s: byte %" PRIu64 ": MessagePack type 0x%02x is not allowed in a bds stream",
		       bd_in_name(s->in), s->at + s->n - 1, tag);
	}
}

/* The next whole object into s->u.data; dies at the end of the input. */
void bd_source_take(struct bd_source *s)
{
	s->n = 0;
	s->at = bd_in_offset(s->in);
	unsigned char first;
	if (bd_in_read(s->in, &first, 1) != 1)
		BAD(s,
		    "the stream ends before its end record, after %" PRIu64
		    " examples; its writer died or the file was truncated",
		    s->records);
	if ((first & 0xf0) != 0x80 && first != 0xde && first != 0xdf)
		BAD(s, "no record begins with 0x%02x; %s", first,
		    s->at ? "the stream is damaged" : "this is not a bds stream");
	if (s->cap == 0)
		s->p = bd_alloc(s->cap = (size_t)1 << 16, 1);
	s->p[0] = first;
	s->n = 1;
	uint64_t items = 0,
	         todo = first < 0x90 ? 2 * (uint64_t)(first & 15) : 2 * take_uint(s, first == 0xde ? 2 : 4);
	for (; todo > 0; todo--) {
		if (++items > MAX_ITEMS || todo > MAX_ITEMS)
			BAD(s, "record of more than %" PRIu64 " values", MAX_ITEMS);
		todo += take_value(s);
	}
	size_t off = 0;
	msgpack_unpack_return rc = msgpack_unpack_next(&s->u, (const char *)s->p, s->n, &off);
	if (rc != MSGPACK_UNPACK_SUCCESS || off != s->n || s->u.data.type != MSGPACK_OBJECT_MAP)
		BAD(s, "not a MessagePack map that can be unpacked");
}

/* ---- values of the current map ---- */

const msgpack_object *bd_source_find(const struct bd_source *s, const char *key)
{
	const msgpack_object_map *m = &s->u.data.via.map;
	size_t n = strlen(key);

	for (uint32_t i = 0; i < m->size; i++) {
		const msgpack_object *k = &m->ptr[i].key;

		if (k->type == MSGPACK_OBJECT_STR && k->via.str.size == n && !memcmp(k->via.str.ptr, key, n))
			return &m->ptr[i].val;
	}
	return NULL;
}

const msgpack_object *bd_source_get(const struct bd_source *s, const char *key, msgpack_object_type type)
{
	const msgpack_object *o = bd_source_find(s, key);

	if (o == NULL)
		BAD(s, "`%s' is missing", key);
	if (o->type != type)
		BAD(s, "`%s' has the wrong type", key);
	return o;
}

bool bd_source_is_int(const msgpack_object *o, int64_t min, int64_t max, int64_t *v)
{
	bool positive = o->type == MSGPACK_OBJECT_POSITIVE_INTEGER;

	if ((!positive && o->type != MSGPACK_OBJECT_NEGATIVE_INTEGER) || (positive && o->via.u64 > INT64_MAX))
		return false;
	*v = positive ? (int64_t)o->via.u64 : o->via.i64;
	return *v >= min && *v <= max;
}

int64_t bd_source_int(const struct bd_source *s, const char *key, int64_t min, int64_t max)
{
	const msgpack_object *o = bd_source_find(s, key);
	int64_t v;

	if (o == NULL || !bd_source_is_int(o, min, max, &v))
		BAD(s, "`%s' is not an integer from %" PRId64 " to %" PRId64, key, min, max);
	return v;
}

bool bd_source_is_str(const msgpack_object *o, const char *text)
{
	return o != NULL && o->type == MSGPACK_OBJECT_STR && o->via.str.size == strlen(text) &&
	       !memcmp(o->via.str.ptr, text, o->via.str.size);
}

double bd_source_real(const struct bd_source *s, const char *key, double missing, double min, double max)
{
	const msgpack_object *o = bd_source_find(s, key);

	if (o == NULL)
		return missing;
	if (o->type != MSGPACK_OBJECT_FLOAT64 || !(o->via.f64 >= min && o->via.f64 <= max))
		BAD(s, "`%s' is not a number from %g to %g", key, min, max);
	return o->via.f64;
}

/* Which of the words `key` holds. */
int bd_source_word(const struct bd_source *s, const char *key, const char *const *words, int n)
{
	const msgpack_object *o = bd_source_get(s, key, MSGPACK_OBJECT_STR);

	for (int i = 0; i < n; i++)
		if (bd_source_is_str(o, words[i]))
			return i;
	BAD(s, "`%s' has an unknown value", key);
}

void bd_source_hex(const struct bd_source *s, const char *key, char out[33])
{
	const msgpack_object_str *t = &bd_source_get(s, key, MSGPACK_OBJECT_STR)->via.str;

	if (t->size != 32)
		BAD(s, "`%s' is not a digest of 32 hex digits", key);
	memcpy(out, t->ptr, 32);
	if (strspn(out, "0123456789abcdef") != 32)
		BAD(s, "`%s' is not a digest of 32 hex digits", key);
}

/* A new array from a bin of exactly n elements. */
void *bd_source_bin(const struct bd_source *s, const char *key, size_t n, size_t size)
{
	const msgpack_object_bin *b = &bd_source_get(s, key, MSGPACK_OBJECT_BIN)->via.bin;

	if (b->size != n * size)
		BAD(s, "`%s' has %u bytes where the header requires %zu", key, b->size, n * size);
	void *p = bd_alloc(n + !n, size);
	if (n)
		memcpy(p, b->ptr, n * size);
	return p;
}

void bd_source_u32s(const struct bd_source *s, const char *key, uint32_t *out, size_t n, int64_t max)
{
	const msgpack_object_array *a = &bd_source_get(s, key, MSGPACK_OBJECT_ARRAY)->via.array;

	if (a->size != n)
		BAD(s, "`%s' has %u elements where %zu are needed", key, a->size, n);
	for (size_t i = 0; i < n; i++) {
		int64_t v;

		if (!bd_source_is_int(&a->ptr[i], 0, max, &v))
			BAD(s, "`%s' has an element that is not an integer from 0 to %" PRId64, key, max);
		out[i] = (uint32_t)v;
	}
}

/* msgpack-c limits the depth to 32. */
json_t *bd_source_json(const struct bd_source *s, const msgpack_object *o)
{
	json_t *j = NULL, *v;

	switch (o->type) {
	case MSGPACK_OBJECT_NIL:
		j = json_null();
		break;
	case MSGPACK_OBJECT_BOOLEAN:
		j = json_boolean(o->via.boolean);
		break;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		j = o->via.u64 > INT64_MAX ? NULL : json_integer((json_int_t)o->via.u64);
		break;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		j = json_integer(o->via.i64);
		break;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		j = json_real(o->via.f64);
		break;
	case MSGPACK_OBJECT_STR:
		j = json_stringn(o->via.str.ptr, o->via.str.size);
		break;
	case MSGPACK_OBJECT_ARRAY:
		j = json_array();
		for (uint32_t i = 0; i < o->via.array.size; i++)
			json_array_append_new(j, bd_source_json(s, &o->via.array.ptr[i]));
		break;
	case MSGPACK_OBJECT_MAP:
		j = json_object();
		for (uint32_t i = 0; i < o->via.map.size; i++) {
			const msgpack_object *k = &o->via.map.ptr[i].key;

			v = bd_source_json(s, &o->via.map.ptr[i].val);
			char *key = k->type == MSGPACK_OBJECT_STR
			                ? bd_strndup(k->via.str.ptr, k->via.str.size)
			                : NULL;
			if (key == NULL || json_object_set_new(j, key, v))
				BAD(s, "a key of the template is not UTF-8 text");
			bd_free(key);
		}
		break;
	default:
		break;
	}
	if (j == NULL)
		BAD(s, "a value of the header cannot be represented in JSON (text must be UTF-8)");
	return j;
}
