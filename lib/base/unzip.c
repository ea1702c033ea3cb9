/* zstd and zlib behind one function. */
#include "base/unzip.h"

#include "base/guard.h"
#include "base/mem.h"
#include "base/msg.h"

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>
#include <zstd.h>

enum {
	WINDOW_LOG = 27,            /* what zstd --long and --ultra -22 use */
	GZIP_ONLY = 16 + MAX_WBITS, /* of inflateInit2: no zlib header, no raw data */
};

struct bd_unzip {
	ZSTD_DStream *zstd; /* NULL: gzip */
	z_stream gzip;
	bool open;
};

/* The beginnings: a zstd frame, a skippable frame (pzstd's first, 0x50 to 0x5f), gzip with deflated data. */
static const struct magic {
	unsigned char byte[BD_UNZIP_MAGIC], mask[BD_UNZIP_MAGIC];
	bool gzip;
} magics[] = {
    {{0x28, 0xb5, 0x2f, 0xfd}, {0xff, 0xff, 0xff, 0xff}, false},
    {{0x50, 0x2a, 0x4d, 0x18}, {0xf0, 0xff, 0xff, 0xff}, false},
    {{0x1f, 0x8b, 0x08, 0x00}, {0xff, 0xff, 0xff, 0xe0}, true},
};

static const struct magic *find(const char *p, size_t n)
{
	for (size_t k = 0; k < sizeof(magics) / sizeof(*magics); k++) {
		const struct magic *m = &magics[k];
		size_t i = 0;

		while (i < n && i < BD_UNZIP_MAGIC && ((unsigned char)p[i] & m->mask[i]) == m->byte[i])
			i++;
		if (i == n || i == BD_UNZIP_MAGIC)
			return m;
	}
	return NULL;
}

bool bd_unzip_like(const char *p, size_t n)
{
	return find(p, n) != NULL;
}

/* What the libraries hold. */
static void stop(void *gzip, size_t n)
{
	struct bd_unzip *u = (struct bd_unzip *)((char *)gzip - offsetof(struct bd_unzip, gzip));

	(void)n;
	if (u->zstd != NULL)
		ZSTD_freeDStream(u->zstd);
	else
		inflateEnd(&u->gzip);
}

struct bd_unzip *bd_unzip_new(const char magic[BD_UNZIP_MAGIC])
{
	struct bd_unzip *u = bd_zalloc(1, sizeof(*u));
	bool ok;

	if (find(magic, BD_UNZIP_MAGIC)->gzip) {
		ok = inflateInit2(&u->gzip, GZIP_ONLY) == Z_OK;
	} else {
		u->zstd = ZSTD_createDStream();
		ok = u->zstd != NULL &&
		     !ZSTD_isError(ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, WINDOW_LOG));
	}
	if (!ok)
		bd_die(BD_SYS, "out of memory");
	bd_guard_keep(&u->gzip, 0, stop);
	return u;
}

void bd_unzip_free(struct bd_unzip *u)
{
	if (u == NULL)
		return;
	bd_guard_drop(&u->gzip);
	stop(&u->gzip, 0);
	bd_free(u);
}

const char *bd_unzip_format(const struct bd_unzip *u)
{
	return u->zstd != NULL ? "zstd" : "gzip";
}

bool bd_unzip_open(const struct bd_unzip *u)
{
	return u->open;
}

static size_t run_zstd(struct bd_unzip *u, ZSTD_outBuffer *out, ZSTD_inBuffer *in, const char **why)
{
	size_t rc = ZSTD_decompressStream(u->zstd, out, in);

	if (ZSTD_isError(rc))
		*why = ZSTD_getErrorName(rc);
	u->open = rc != 0;
	return out->pos;
}

static unsigned at_most(size_t n)
{
	return n < INT_MAX ? (unsigned)n : INT_MAX;
}

static size_t run_gzip(struct bd_unzip *u, ZSTD_outBuffer *out, ZSTD_inBuffer *in, const char **why)
{
	z_stream *z = &u->gzip;
	unsigned room = at_most(out->size), given = at_most(in->size - in->pos);
	int rc;

	if (!u->open && given == 0)
		return 0;
	z->next_in = (unsigned char *)(uintptr_t)in->src + in->pos;
	z->avail_in = given;
	z->next_out = out->dst;
	z->avail_out = room;
	rc = inflate(z, Z_NO_FLUSH);
	u->open = rc != Z_STREAM_END;
	if (rc == Z_STREAM_END)
		inflateReset(z);
	else if (rc != Z_OK && rc != Z_BUF_ERROR)
		*why = z->msg != NULL ? z->msg : rc == Z_MEM_ERROR ? "out of memory" : "not gzip data";
	in->pos += given - z->avail_in;
	return room - z->avail_out;
}

size_t bd_unzip_run(struct bd_unzip *u, char *dst, size_t n, const char *src, size_t *pos, size_t end,
                    const char **why)
{
	ZSTD_outBuffer out = {dst, n, 0};
	ZSTD_inBuffer in = {src, end, *pos};
	size_t got;

	*why = NULL;
	got = (u->zstd != NULL ? run_zstd : run_gzip)(u, &out, &in, why);
	*pos = in.pos;
	return got;
}
