/* Checked allocation. Blocks are exactly as long as requested, so that ASan detects access to the first byte
 * beyond. */
#include "base/mem.h"

#include "base/guard.h"
#include "base/msg.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* In the sanitized build (make SAN=1) a poisoned gap follows every block of an arena. */
#ifdef BD_SAN
#include <sanitizer/asan_interface.h>
#define ARENA_GAP      64
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)

/* Impossible sizes fail as they do without ASan; an ASan finding has its own exit status. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1:exitcode=99";
}

__attribute__((visibility("default"))) const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
	return "print_stacktrace=1:exitcode=99";
}
#else
#define ARENA_GAP      0
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum { ALIGN = 64 };

size_t bd_mul(size_t a, size_t b)
{
	size_t c;

	if (__builtin_mul_overflow(a, b, &c))
		bd_die(BD_SYS, "out of memory: %zu x %zu bytes cannot be addressed", a, b);
	return c;
}

size_t bd_add(size_t a, size_t b)
{
	size_t c;

	if (__builtin_add_overflow(a, b, &c))
		bd_die(BD_SYS, "out of memory: %zu + %zu bytes cannot be addressed", a, b);
	return c;
}

void *bd_alloc(size_t n, size_t size)
{
	size_t bytes = bd_mul(n, size);
	void *p;

	if (bd_guard_fails() || posix_memalign(&p, ALIGN, bytes > 0 ? bytes : 1) != 0)
		bd_die(BD_SYS, "out of memory: %zu bytes", bytes);
	bd_guard_keep(p, 0, NULL);
	return p;
}

void *bd_zalloc(size_t n, size_t size)
{
	return memset(bd_alloc(n, size), 0, n * size);
}

void *bd_resize(void *p, size_t old_n, size_t n, size_t size)
{
	void *q = bd_alloc(n, size);

	if (p != NULL)
		memcpy(q, p, bd_mul(old_n < n ? old_n : n, size));
	bd_free(p);
	return q;
}

void bd_free(void *p)
{
	bd_guard_drop(p);
	free(p);
}

static void unmap(void *p, size_t n)
{
	UNPOISON(p, n);
	munmap(p, n);
}

void *bd_pages(size_t n)
{
	void *p = MAP_FAILED;

	if (!bd_guard_fails())
		p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		bd_die(BD_SYS, "out of memory: %zu bytes", n);
	bd_guard_keep(p, n, unmap);
	return p;
}

void bd_pages_free(void *p, size_t n)
{
	bd_guard_drop(p);
	unmap(p, n);
}

void bd_pages_unused(const void *p, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), skip = (page - (uintptr_t)p % page) % page;

	if (n > skip)
		madvise((char *)(uintptr_t)p + skip, (n - skip) / page * page, MADV_DONTNEED);
}

char *bd_strdup(const char *s)
{
	return bd_strndup(s, strlen(s));
}

char *bd_strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = bd_alloc(bd_add(len, 1), 1);

	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

/* Appends a formatted text to b. */
static void buf_vfmt(struct bd_buf *b, const char *fmt, va_list ap);

char *bd_sprintf(const char *fmt, ...)
{
	struct bd_buf b = {0};
	va_list ap;

	va_start(ap, fmt);
	buf_vfmt(&b, fmt, ap);
	va_end(ap);
	return b.p;
}

/* Room for n more bytes and a NUL; doubling keeps appends linear in total. */
static void buf_reserve(struct bd_buf *b, size_t n)
{
	size_t need = bd_add(bd_add(b->n, n), 1), cap = b->cap > 0 ? b->cap : 64;

	if (need <= b->cap)
		return;
	while (cap < need)
		cap = bd_mul(cap, 2);
	b->p = bd_resize(b->p, b->n, cap, 1);
	b->cap = cap;
}

void bd_buf_add(struct bd_buf *b, const void *data, size_t n)
{
	buf_reserve(b, n);
	if (n > 0)
		memcpy(b->p + b->n, data, n);
	b->n += n;
	b->p[b->n] = '\0';
}

void bd_buf_str(struct bd_buf *b, const char *s)
{
	bd_buf_add(b, s, strlen(s));
}

static void buf_vfmt(struct bd_buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n < 0)
		bd_die(BD_SYS, "cannot format \"%s\":", fmt);
	buf_reserve(b, (size_t)n);
	vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
	va_end(again);
	b->n += (size_t)n;
}

void bd_buf_fmt(struct bd_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vfmt(b, fmt, ap);
	va_end(ap);
}

void bd_buf_clear(struct bd_buf *b)
{
	b->n = 0;
	if (b->p != NULL)
		b->p[0] = '\0';
}

void bd_buf_free(struct bd_buf *b)
{
	bd_free(b->p);
	*b = (struct bd_buf){0};
}

void bd_arena_place(struct bd_arena *a, void *p)
{
	a->cap = a->n;
	a->n = 0;
	a->p = p;
	POISON(a->p, a->cap);
}

void *bd_arena_take(struct bd_arena *a, size_t n, size_t size)
{
	size_t bytes = bd_mul(n, size);
	size_t at = bd_add(a->n, ALIGN - 1) & ~(size_t)(ALIGN - 1);
	size_t end = bd_add(bd_add(at, bytes), ARENA_GAP);

	a->n = end;
	if (a->p == NULL)
		return NULL;
	if (end > a->cap)
		bd_die(BD_SYS, "internal error: arena of %zu bytes asked for %zu", a->cap, end);
	UNPOISON(a->p + at, bytes);
	POISON(a->p + at + bytes, (size_t)ARENA_GAP);
	return a->p + at;
}

void *bd_arena_leave(struct bd_arena *a)
{
	void *p = a->p;

	if (p != NULL)
		UNPOISON(p, a->cap);
	*a = (struct bd_arena){0};
	return p;
}
