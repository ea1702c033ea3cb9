/* CPU features by cpuid, counted only if the operating system saves the registers they use (XCR0). */
#include "machine/cpu.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

enum { XCR0_AVX = 0x06, XCR0_AVX512 = 0xe6, XCR0_AMX = 0x60000 }; /* xmm, ymm; mask registers, zmm; tiles */
enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24 };                  /* leaf 7, edx */

static uint64_t xcr0(void)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

unsigned bd_cpu_bits(void)
{
	const unsigned leaf1 = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
	const unsigned avx512 = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
	const unsigned amx = AMX_TILE | AMX_BF16;
	unsigned a, b, c, d, bits = 0;

	if (!__get_cpuid(1, &a, &b, &c, &d) || (c & leaf1) != leaf1)
		return 0;
	const uint64_t saved = xcr0();
	if ((saved & XCR0_AVX) != XCR0_AVX || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2))
		return 0;
	bits |= BD_CPU_AVX2;
	if ((saved & XCR0_AVX512) == XCR0_AVX512 && (b & avx512) == avx512 && (c & bit_AVX512VNNI))
		bits |= BD_CPU_AVX512;
	if ((bits & BD_CPU_AVX512) && (saved & XCR0_AMX) == XCR0_AMX && (d & amx) == amx)
		bits |= BD_CPU_AMX;
	return bits;
}

static char cpu_name[49]; /* written once, by read_name */

static void read_name(void)
{
	const unsigned max = (unsigned)__get_cpuid_max(0x80000000u, NULL);
	unsigned r[12];

	if (max < 0x80000004u) {
		strcpy(cpu_name, "unknown");
		return;
	}
	for (unsigned i = 0; i < 3; i++)
		__get_cpuid(0x80000002u + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]);
	memcpy(cpu_name, r, sizeof(r));
	for (size_t n = strlen(cpu_name); n > 0 && cpu_name[n - 1] == ' '; n--)
		cpu_name[n - 1] = '\0';
}

const char *bd_cpu_name(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_name);
	return cpu_name + strspn(cpu_name, " ");
}

#else

#if defined(__aarch64__)

#include <sys/auxv.h>

enum { ASIMDDP = 1 << 20, I8MM = 1 << 13 }; /* of AT_HWCAP, AT_HWCAP2: asm/hwcap.h */

unsigned bd_cpu_bits(void)
{
	return (getauxval(AT_HWCAP) & ASIMDDP ? BD_CPU_DOTPROD : 0u) |
	       (getauxval(AT_HWCAP2) & I8MM ? BD_CPU_I8MM : 0u);
}

#else

unsigned bd_cpu_bits(void)
{
	return 0;
}

#endif

const char *bd_cpu_name(void)
{
	return "unknown";
}

#endif
