/* Dense GEMM: one single-threaded kernel call for each slice of the longer side of C. */
#include "machine/gemm.h"

#include "base/msg.h"
#include "machine/cpu.h"
#include "machine/gemm_job.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	GRAIN = 32, /* a slice is a multiple of so many rows or columns of C: the kernels' register tiles */
	SMALL = 64 * 64 * 24 /* multiply-adds below which waking a thread costs more than it saves */
};

/* The least M and N, K, and M N for which the tiles pay, as measured: sizes are rounded up to multiples of
 * 32, and operands have to be packed. */
enum { AMX_SIDE = 48, AMX_DEPTH = 32, AMX_AREA = 64 * 64 };

static enum { AUTO, LIB, AMX, NO_TILES, UNKNOWN } choice; /* written once, by choose */

/* Asks Linux for the tile registers, which it saves only for processes that have asked. */
static bool amx_works(void)
{
#if defined(__x86_64__) && defined(__linux__)
	enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

	return (bd_cpu_bits() & BD_CPU_AMX) &&
	       syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
	return false;
#endif
}

static void choose(void)
{
	const char *name = getenv("BD_GEMM");
	const bool any = name == NULL || !*name;

	if (!any && strcmp(name, "lib") == 0)
		choice = LIB;
	else if (!any && strcmp(name, "amx") != 0)
		choice = UNKNOWN;
	else if (amx_works())
		choice = any ? AUTO : AMX;
	else
		choice = any ? LIB : NO_TILES;
}

static bool use_amx(const struct bd_product *j)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, choose);
	if (choice == UNKNOWN)
		bd_die(BD_USAGE, "BD_GEMM=%s: no such kernel of dense products; there are amx and lib",
		       getenv("BD_GEMM"));
	if (choice == NO_TILES)
		bd_die(BD_USAGE,
		       "BD_GEMM=amx: the processor or its system has no AMX tiles; unset it to use lib");
	if (choice == AUTO)
		return j->M >= AMX_SIDE && j->N >= AMX_SIDE && j->K >= AMX_DEPTH && j->M * j->N >= AMX_AREA;
	return choice == AMX && j->K > 0;
}

#if !defined(__x86_64__)
void bd_gemm_amx(const struct bd_product *j)
{
	bd_gemm_lib(j);
}
#endif

struct sliced {
	struct bd_product job;
	bool rows; /* which side of C is divided */
	bool amx;
};

static size_t grains(size_t n)
{
	return (n + GRAIN - 1) / GRAIN;
}

static size_t edge(size_t grain, size_t n)
{
	return grain * GRAIN < n ? grain * GRAIN : n;
}

static void slice(void *ctx, size_t begin, size_t end, int number)
{
	const struct sliced *s = ctx;
	const struct bd_product *j = &s->job;
	const size_t side = s->rows ? j->M : j->N, at = edge(begin, side), n = edge(end, side) - at;
	const struct bd_product part =
	    s->rows ? gemm_part(j, at, n, 0, j->N, 0, j->K) : gemm_part(j, 0, j->M, at, n, 0, j->K);

	(void)number;
	if (part.M == 0 || part.N == 0)
		return;
	if (s->amx)
		bd_gemm_amx(&part);
	else
		bd_gemm_lib(&part);
}

void bd_gemm(struct bd_par *par, const struct bd_product *p)
{
	struct sliced s = {*p, p->M >= p->N, use_amx(p)};

	if (p->M * p->N < SMALL && p->M * p->N * p->K < SMALL)
		par = NULL;
	bd_par_for(par, grains(s.rows ? p->M : p->N), slice, &s);
}
