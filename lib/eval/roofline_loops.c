/* Reading and multiplying loops. A multiplying loop has CHAINS independent sums, more than latency times
 * issue width of any instruction here. Those of one instruction set are written as instructions, so that no
 * compiler computes a product once for all, or moves registers about. */
#include "eval/roofline_loops.h"

#include "machine/cpu.h"

enum { CHAINS = 12, AHEAD = 2048 /* bytes that are asked for before they are read */ };

static bool always(void)
{
	return true;
}

/* One loop: instructions that add the products of the registers %1 and %2 to %0, and how many products. */
#define MULTIPLIER(name, isa, vector, any, instructions, products)                                           \
	__attribute__((target(isa))) static double name(size_t rounds)                                       \
	{                                                                                                    \
		vector s[CHAINS] = {{0}}, a = {0}, b = {0}, t = {0};                                         \
                                                                                                             \
		for (size_t r = 0; r < rounds; r++)                                                          \
			for (int i = 0; i < CHAINS; i++)                                                     \
				__asm__ volatile(instructions                                                \
				                 : "+" any(s[i]), "+&" any(t)                                \
				                 : any(a), any(b));                                          \
		return (double)rounds * CHAINS * (products)*2;                                               \
	}

/* ---- for every machine: GCC's vectors of 16 bytes, which are one register of the baseline; HIDE keeps the
 * compiler from knowing a value ---- */

typedef uint64_t u64x2 __attribute__((vector_size(16), aligned(1), may_alias));
typedef float f32x4 __attribute__((vector_size(16)));
typedef uint16_t u16x8 __attribute__((vector_size(16)));

#if defined(__aarch64__)
#define HIDE(x) __asm__ volatile("" : "+w"(x))
#elif defined(__x86_64__)
#define HIDE(x) __asm__ volatile("" : "+x"(x))
#else
#define HIDE(x) __asm__ volatile("" : "+m"(x))
#endif

static uint64_t read_plain(const uint8_t *p, size_t n)
{
	u64x2 s[4] = {{0}};

	for (size_t i = 0; i < n; i += 64) {
		__builtin_prefetch(p + i + AHEAD);
		for (int j = 0; j < 4; j++)
			s[j] ^= *(const u64x2 *)(p + i + 16 * j);
	}
	s[0] ^= s[1] ^ s[2] ^ s[3];
	return s[0][0] ^ s[0][1];
}

static double f32_plain(size_t rounds)
{
	f32x4 s[CHAINS] = {{0}}, a = {1, 1, 1, 1}, b = {1e-9f, 1e-9f, 1e-9f, 1e-9f};

	for (size_t r = 0; r < rounds; r++) {
		HIDE(a);
		for (int i = 0; i < CHAINS; i++)
			s[i] = s[i] * a + b;
	}
	for (int i = 0; i < CHAINS; i++)
		HIDE(s[i]);
	return (double)rounds * CHAINS * 4 * 2;
}

/* What a machine without products of bytes does: as int16. */
static double int8_plain(size_t rounds)
{
	u16x8 s[CHAINS] = {{0}}, a = {1, 2, 3, 4, 5, 6, 7, 8}, b = {1, 0, 2, 1, 0, 2, 1, 0};

	for (size_t r = 0; r < rounds; r++)
		for (int i = 0; i < CHAINS; i++) {
			HIDE(a);
			s[i] += a * b;
		}
	for (int i = 0; i < CHAINS; i++)
		HIDE(s[i]);
	return (double)rounds * CHAINS * 8 * 2;
}

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

static bool has_avx2(void)
{
	return bd_cpu_bits() & BD_CPU_AVX2;
}

static bool has_avx512(void)
{
	return bd_cpu_bits() & BD_CPU_AVX512;
}

static bool has_avx512bf16(void)
{
	return has_avx512() && __builtin_cpu_supports("avx512bf16");
}

static bool has_avxvnni(void)
{
	unsigned a, b, c, d; /* not every compiler's __builtin_cpu_supports has heard of it */

	return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}

static uint64_t fold(const void *vector, size_t n)
{
	uint64_t word[8], x = 0;

	memcpy(word, vector, n);
	for (size_t i = 0; i < n / sizeof(*word); i++)
		x ^= word[i];
	return x;
}

__attribute__((target("avx2"))) static uint64_t read_avx2(const uint8_t *p, size_t n)
{
	__m256i s0 = _mm256_setzero_si256(), s1 = s0;

	for (size_t i = 0; i < n; i += 64) {
		_mm_prefetch(p + i + AHEAD, _MM_HINT_T0);
		s0 = _mm256_xor_si256(s0, _mm256_loadu_si256((const __m256i *)(p + i)));
		s1 = _mm256_xor_si256(s1, _mm256_loadu_si256((const __m256i *)(p + i + 32)));
	}
	s0 = _mm256_xor_si256(s0, s1);
	return fold(&s0, sizeof(s0));
}

/* In four places at once: more fetches under way than the hardware starts for one. */
__attribute__((target("avx512f"))) static uint64_t read_avx512(const uint8_t *p, size_t n)
{
	const size_t quarter = n / BD_READ_STEP / 4 * BD_READ_STEP;
	__m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;

	for (size_t i = 0; i < quarter; i += 64) {
		s0 = _mm512_xor_si512(s0, _mm512_loadu_si512(p + i));
		s1 = _mm512_xor_si512(s1, _mm512_loadu_si512(p + quarter + i));
		s2 = _mm512_xor_si512(s2, _mm512_loadu_si512(p + 2 * quarter + i));
		s3 = _mm512_xor_si512(s3, _mm512_loadu_si512(p + 3 * quarter + i));
	}
	for (size_t i = 4 * quarter; i < n; i += 64)
		s0 = _mm512_xor_si512(s0, _mm512_loadu_si512(p + i));
	s0 = _mm512_xor_si512(_mm512_xor_si512(s0, s1), _mm512_xor_si512(s2, s3));
	return fold(&s0, sizeof(s0));
}

MULTIPLIER(f32_avx2, "avx2,fma", __m256, "v", "vfmadd231ps %2, %3, %0", 8)
MULTIPLIER(f32_avx512, "avx512f", __m512, "v", "vfmadd231ps %2, %3, %0", 16)
MULTIPLIER(bf16_avx512, "avx512f", __m512, "v", "vdpbf16ps %2, %3, %0", 32)
/* codes of at most 2 times int8: the sums of 16 bits take 64 of them, so that widening them costs nothing */
MULTIPLIER(int8_avx2, "avx2", __m256i, "x", "vpmaddubsw %2, %3, %1\n\tvpaddw %1, %0, %0", 32)
MULTIPLIER(int8_avxvnni, "avx2", __m256i, "x", "%{vex%} vpdpbusd %2, %3, %0", 32)
MULTIPLIER(int8_avx512, "avx512f", __m512i, "v", "vpdpbusd %2, %3, %0", 64)

const struct bd_reader bd_readers[] = {
    {"16 bytes", always, read_plain},
    {"ymm", has_avx2, read_avx2},
    {"zmm", has_avx512, read_avx512},
    {0},
};
const struct bd_multiplier bd_multipliers[] = {
    {BD_ROOF_F32, "mulps, addps", always, f32_plain},
    {BD_ROOF_F32, "vfmadd ymm", has_avx2, f32_avx2},
    {BD_ROOF_F32, "vfmadd zmm", has_avx512, f32_avx512},
    {BD_ROOF_BF16, "vdpbf16ps zmm", has_avx512bf16, bf16_avx512},
    {BD_ROOF_INT8, "pmullw, paddw", always, int8_plain},
    {BD_ROOF_INT8, "vpmaddubsw, vpaddw ymm", has_avx2, int8_avx2},
    {BD_ROOF_INT8, "vpdpbusd ymm", has_avxvnni, int8_avxvnni},
    {BD_ROOF_INT8, "vpdpbusd zmm", has_avx512, int8_avx512},
    {0},
};

#elif defined(__aarch64__)

#include <sys/auxv.h>

typedef int32_t i32x4 __attribute__((vector_size(16)));

static bool has_dotprod(void)
{
	return bd_cpu_bits() & BD_CPU_DOTPROD;
}

static bool has_i8mm(void)
{
	return bd_cpu_bits() & BD_CPU_I8MM;
}

static bool has_bf16(void)
{
	return getauxval(AT_HWCAP2) & 1 << 14; /* asm/hwcap.h */
}

MULTIPLIER(f32_neon, "arch=armv8-a", i32x4, "w", "fmla %0.4s, %2.4s, %3.4s", 4)
MULTIPLIER(bf16_neon, "arch=armv8.2-a+bf16", i32x4, "w", "bfmmla %0.4s, %2.8h, %3.8h", 16)
MULTIPLIER(int8_dotprod, "arch=armv8.2-a+dotprod", i32x4, "w", "sdot %0.4s, %2.16b, %3.16b", 16)
MULTIPLIER(int8_i8mm, "arch=armv8.2-a+i8mm", i32x4, "w", "smmla %0.4s, %2.16b, %3.16b", 32)

const struct bd_reader bd_readers[] = {{"16 bytes", always, read_plain}, {0}};
const struct bd_multiplier bd_multipliers[] = {
    {BD_ROOF_F32, "fmul, fadd", always, f32_plain},
    {BD_ROOF_F32, "fmla", always, f32_neon},
    {BD_ROOF_BF16, "bfmmla", has_bf16, bf16_neon},
    {BD_ROOF_INT8, "mla", always, int8_plain},
    {BD_ROOF_INT8, "sdot", has_dotprod, int8_dotprod},
    {BD_ROOF_INT8, "smmla", has_i8mm, int8_i8mm},
    {0},
};

#else

const struct bd_reader bd_readers[] = {{"16 bytes", always, read_plain}, {0}};
const struct bd_multiplier bd_multipliers[] = {
    {BD_ROOF_F32, "float", always, f32_plain},
    {BD_ROOF_INT8, "int16", always, int8_plain},
    {0},
};

#endif
