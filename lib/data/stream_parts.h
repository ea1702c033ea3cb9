/* Internals of the stream reader: the input and the current MessagePack map, for stream_map.c, which takes it
 * off the input, and stream_in.c, which interprets it. */
#ifndef BD_STREAM_PARTS_H
#define BD_STREAM_PARTS_H

#include "base/hash.h"
#include "base/io.h"
#include "base/json.h"
#include "base/msg.h"
#include "data/stream.h"

#include <inttypes.h>
#include <msgpack.h>

struct bd_source_part {
	char *path, digest[17]; /* digest: once its end was seen, by any pass */
	bool opened;            /* once: */
	uint64_t head_hash;
	uint64_t examples;
	json_t *history;
};

struct bd_source {
	struct bd_source_part *part; /* [parts] */
	size_t parts, at_part;
	bool regular;     /* all of them are regular files */
	uint64_t before;  /* records of the parts before this one */
	struct bd_in *in; /* of this part, as what follows */
	struct bd_stream_head head;
	struct bd_hash *hash;
	unsigned char *p; /* [n] of [cap]: the current object */
	size_t n, cap;
	uint64_t at; /* offset of its first byte */
	uint64_t records;
	size_t context;              /* the longest record; 0: any */
	uint32_t *to;                /* [head.vocab] other numbers for the tokens; NULL: none */
	struct bd_stream_head other; /* head as of a stream with those numbers; choice is its own */
	char *kept_by;               /* the model that they are for */
	bool ended;
	msgpack_unpacked u;
};

/* Dies because the current object is wrong. */
#define BAD(s, fmt, ...)                                                                                     \
	bd_die(BD_DATA, "%s: byte %" PRIu64 ": " fmt, bd_in_name((s)->in), (s)->at, ##__VA_ARGS__)

/* The next whole object into s->u.data; dies at the end of the input. */
void bd_source_take(struct bd_source *s);

/* The next record with the ids of the file; else as bd_source_next. */
bool bd_source_as_written(struct bd_source *s, struct bd_record *r);

/* Values of the current map. Missing or unsuitable ones die BD_DATA, except in bd_source_find, which returns
 * NULL. */
const msgpack_object *bd_source_find(const struct bd_source *s, const char *key);
const msgpack_object *bd_source_get(const struct bd_source *s, const char *key, msgpack_object_type type);
int64_t bd_source_int(const struct bd_source *s, const char *key, int64_t min, int64_t max);
/* Which of the words `key` holds. */
int bd_source_word(const struct bd_source *s, const char *key, const char *const *words, int n);
void bd_source_hex(const struct bd_source *s, const char *key, char out[33]);
/* A new array from a bin of exactly n elements. */
void *bd_source_bin(const struct bd_source *s, const char *key, size_t n, size_t size);
void bd_source_u32s(const struct bd_source *s, const char *key, uint32_t *out, size_t n, int64_t max);

bool bd_source_is_int(const msgpack_object *o, int64_t min, int64_t max, int64_t *v);
/* A double; `missing' without the key. */
double bd_source_real(const struct bd_source *s, const char *key, double missing, double min, double max);
bool bd_source_is_str(const msgpack_object *o, const char *text); /* o may be NULL */
json_t *bd_source_json(const struct bd_source *s, const msgpack_object *o);

#endif
