/* Memory: checked sizes, 64-byte alignment, no NULL returns (out of memory is BD_SYS). */
#ifndef BD_MEM_H
#define BD_MEM_H

#include <stddef.h>

void *bd_alloc(size_t n, size_t size);  /* n * size bytes, uninitialised */
void *bd_zalloc(size_t n, size_t size); /* the same, zeroed */
/* keeps min(old_n, n) elements; p may be NULL */
void *bd_resize(void *p, size_t old_n, size_t n, size_t size);
void bd_free(void *p);    /* p may be NULL */
void *bd_pages(size_t n); /* n bytes in pages of their own, zeroed, resident only once they are used */
void bd_pages_free(void *p, size_t n);
/* n bytes of a mapped file will hardly be read again: the memory that they take is given back. */
void bd_pages_unused(const void *p, size_t n);
char *bd_strdup(const char *s);
char *bd_strndup(const char *s, size_t n);
char *bd_sprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* caller frees with bd_free */

/* n * size, or die if it overflows; for sizes that come from files. */
size_t bd_mul(size_t a, size_t b);
size_t bd_add(size_t a, size_t b);

/* A growing byte buffer; p is NUL-terminated after every append (the NUL is not counted in n). */
struct bd_buf {
	char *p;
	size_t n, cap;
};
void bd_buf_add(struct bd_buf *b, const void *data, size_t n);
void bd_buf_str(struct bd_buf *b, const char *s);
void bd_buf_fmt(struct bd_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void bd_buf_clear(struct bd_buf *b); /* n = 0, keeps the memory */
void bd_buf_free(struct bd_buf *b);

/* One block per lifetime. Measure first with a zero-initialised arena (p == NULL counts only and takes return
 * NULL), then bd_arena_place it on a->n zeroed bytes; the same sequence of takes then yields the pointers. */
struct bd_arena {
	char *p;
	size_t n, cap;
};
void bd_arena_place(struct bd_arena *a, void *p);               /* the owner of p keeps it; rewinds */
void *bd_arena_take(struct bd_arena *a, size_t n, size_t size); /* 64-byte aligned */
void *bd_arena_leave(struct bd_arena *a);                       /* p, back to its owner */

#endif
