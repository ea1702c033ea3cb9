/* Choice of the kernel table. */
#include "machine/kern.h"

#include "base/msg.h"
#include "machine/cpu.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The tables for this architecture, bd_kern_NAME of kern/, best first. */
#if defined(__x86_64__)
#define LIST(K) K(avx512vnni) K(avx2) K(ref)
#elif defined(__aarch64__)
#define LIST(K) K(i8mm) K(dotprod) K(ref)
#else
#define LIST(K) K(ref)
#endif

#define DECLARE(name) extern const struct bd_kern bd_kern_##name;
#define ADDRESS(name) &bd_kern_##name,
#define NAME(name)    " " #name

LIST(DECLARE)
static const struct bd_kern *const tables[] = {LIST(ADDRESS)};
enum { TABLES = sizeof(tables) / sizeof(tables[0]) };

static const struct bd_kern *usable[TABLES + 1]; /* written once, by find_usable */
static const struct bd_kern *chosen;

static void find_usable(void)
{
	const unsigned have = bd_cpu_bits();
	size_t n = 0;

	for (size_t i = 0; i < TABLES; i++)
		if ((tables[i]->need & ~have) == 0)
			usable[n++] = tables[i];
}

/* NULL if there is none that works here. */
static const struct bd_kern *by_name(const char *name)
{
	for (const struct bd_kern *const *k = bd_kern_all(); *k != NULL; k++)
		if (strcmp((*k)->name, name) == 0)
			return *k;
	return NULL;
}

static _Noreturn void die_name(const char *name)
{
	for (size_t i = 0; i < TABLES; i++)
		if (strcmp(tables[i]->name, name) == 0)
			bd_die(BD_USAGE,
			       "BD_KERN=%s: this processor lacks the instructions; unset it to use %s", name,
			       usable[0]->name);
	bd_die(BD_USAGE, "BD_KERN=%s: no such kernel table; there are:" LIST(NAME), name);
}

static void choose(void)
{
	const char *name = getenv("BD_KERN");

	chosen = name != NULL && *name ? by_name(name) : bd_kern_all()[0];
}

const struct bd_kern *const *bd_kern_all(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_usable);
	return usable;
}

const struct bd_kern *bd_kern(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, choose);
	if (chosen == NULL)
		die_name(getenv("BD_KERN"));
	return chosen;
}
