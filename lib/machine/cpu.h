/* What this processor and operating system can run. */
#ifndef BD_CPU_H
#define BD_CPU_H

enum bd_cpu_bit {
	BD_CPU_AVX2 = 1 << 0,   /* AVX2, FMA and F16C, registers saved by the OS (XCR0) */
	BD_CPU_AVX512 = 1 << 1, /* AVX-512 F, BW, DQ, VL, VNNI, registers saved by the OS */
	/* AMX tiles of bf16, enabled by the OS, and BD_CPU_AVX512; a process has to ask for them */
	BD_CPU_AMX = 1 << 2,
	BD_CPU_DOTPROD = 1 << 3, /* 64-bit ARM: sdot */
	BD_CPU_I8MM = 1 << 4,    /* smmla */
};

unsigned bd_cpu_bits(void);
const char *bd_cpu_name(void); /* model name for reports, "unknown" if it cannot be read */

#endif
