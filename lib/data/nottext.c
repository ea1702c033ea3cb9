/* A table of beginnings. */
#include "data/nottext.h"

#include "text/unicode.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define PANDAS(read) "write it as JSON lines: pandas." read ".to_json(..., orient=\"records\", lines=True)"
#define UNPACK       "unpack it first"
#define UTF16        "UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8"
#define PAGE         "an HTML page, perhaps instead of a download that failed"
#define STREAM       "a stream of examples already; bd-data --decode shows it"
#define CKPT         "a model's file, not rows"

/* The first that fits; what is inside others (a spreadsheet in a zip archive) comes before them. */
static const struct kind {
	size_t at;
	const char *bytes;
	size_t n; /* 0: text in any case of letters */
	const char *what;
} kinds[] = {
    {0, "PAR1", 4, "a Parquet file; " PANDAS("read_parquet(...)")},
    {0, "ARROW1", 6, "an Arrow file; " PANDAS("read_feather(...)")},
    {0, "FEA1", 4, "a Feather file; " PANDAS("read_feather(...)")},
    {0, "\xff\xff\xff\xff", 4, "an Arrow stream; write it as JSON lines: datasets' Dataset.to_json(...)"},
    {30, "[Content_Types].xml", 19, "a spreadsheet or document; save it as CSV in UTF-8"},
    {0, "PK\x03\x04", 4, "a zip archive; " UNPACK},
    {0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, "an old Office document; save it as CSV in UTF-8"},
    {0, "SQLite format 3", 16, "an SQLite database; export the rows: sqlite3 -csv -header FILE QUERY"},
    {0, "\xff\xfe\0\0", 4, "UTF-32 text; convert it: iconv -f UTF-32 -t UTF-8"},
    {0, "\0\0\xfe\xff", 4, "UTF-32 text; convert it: iconv -f UTF-32 -t UTF-8"},
    {0, "\xff\xfe", 2, UTF16},
    {0, "\xfe\xff", 2, UTF16},
    {0, "<!doctype html", 0, PAGE},
    {0, "<html", 0, PAGE},
    {0, "GGUF", 4, "a GGUF file; " CKPT},
    {0, "version https://git-lfs", 23, "a Git LFS pointer; fetch what it stands for: git lfs pull"},
    {8, "{\"", 2, "a safetensors file; " CKPT}, /* after the length of its header, see below */
    {0, "\x93NUMPY", 6, "a NumPy array, not rows of text"},
    {0, "\x89HDF", 4, "an HDF5 file, not rows of text"},
    {0, "Obj\x01", 4, "an Avro file; write it as JSON lines"},
    {0, "ORC", 3, "an ORC file; " PANDAS("read_orc(...)")},
    {0, "BZh", 3, "compressed with bzip2; " UNPACK " (zstd and gzip are read as they are)"},
    {0,
     "\xfd"
     "7zXZ",
     5, "compressed with xz; " UNPACK " (zstd and gzip are read as they are)"},
    {0, "\x04\x22\x4d\x18", 4, "compressed with lz4; " UNPACK " (zstd and gzip are read as they are)"},
    {0, "7z\xbc\xaf", 4, "a 7z archive; " UNPACK},
    {257, "ustar", 5, "a tar archive; " UNPACK},
    {0, "%PDF-", 5, "a PDF document; extract its text"},
    {0,
     "\x7f"
     "ELF",
     4, "a program, not rows of text"},
    {0, "\x80\x02", 2, "a Python pickle; write it as JSON lines"},
    {0, "\x80\x03", 2, "a Python pickle; write it as JSON lines"},
    {0, "\x80\x04", 2, "a Python pickle; write it as JSON lines"},
    {0, "\x80\x05", 2, "a Python pickle; write it as JSON lines"},
    {1, "\242bd\xa8", 4, STREAM},
    {1, "\242bd\xa7", 4, STREAM},
    {3, "\242bd\xa7", 4, STREAM},
};

/* The rest of the length before a safetensors header: less than 2^32. */
static bool short_header(const char *p, size_t n)
{
	return n > 8 && memcmp(p + 4, "\0\0\0\0", 4) == 0;
}

static bool begins(const struct kind *k, const char *p, size_t n)
{
	size_t want = k->n > 0 ? k->n : strlen(k->bytes);

	if (n < k->at + want)
		return false;
	p += k->at;
	if (k->n == 0)
		return strncasecmp(p, k->bytes, want) == 0;
	return memcmp(p, k->bytes, want) == 0 && (k->at != 8 || short_header(p - 8, n));
}

const char *bd_nottext(const char *p, size_t n)
{
	size_t even = 0, odd = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (begins(&kinds[i], p, n))
			return kinds[i].what;
	for (size_t i = 0; i < n; i++)
		*(i % 2 ? &odd : &even) += p[i] == '\0';
	if (n >= 4 && (even == 0) != (odd == 0) && 4 * (even + odd) > n) /* half of Latin text's bytes */
		return UTF16;
	return NULL;
}

const char *bd_nottext_line(const char *line, size_t n)
{
	if (memchr(line, '\0', n) != NULL)
		return "has a NUL byte: not text";
	if (!bd_utf8_valid(line, n))
		return "not UTF-8; convert it, for instance: iconv -f LATIN1 -t UTF-8";
	return NULL;
}
