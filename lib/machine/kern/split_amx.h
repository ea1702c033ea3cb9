/* Packed panels of floats split into two bf16, a = hi + lo: what split_amx.c writes and gemm_amx.c
 * multiplies. For each STEP of k a panel has the tiles hi[0], hi[1], lo[0], lo[1] of 16 lines each. A row of
 * a tile is 16 pairs of bf16; a pair holds k = r (low half) and k = r + 16, so that no number has to change
 * its vector lane. */
#ifndef BD_KERN_SPLIT_AMX_H
#define BD_KERN_SPLIT_AMX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TILE = 16,           /* rows of a tile, and pairs in a row */
	CELLS = TILE * TILE, /* pairs in a tile */
	PANEL = 2 * TILE,    /* lines of a panel: rows of op(A), columns of op(B) */
	STEP = 2 * TILE      /* k of a tile */
};

struct split {
	bool possible; /* no infinity, no NaN, no number whose bf16 would be infinite */
	bool low;      /* some lo is not 0 */
};

/* Packs n lines of K numbers into panels, each whole(K, STEP) x PANEL cells, with zeros at the ends.
 * along: x[n,K], the numbers of a line are neighbours; else x[K,n].
 * turn == along: a row of a tile has a pair of every line (op(B)); else all pairs of one line (op(A)). */
struct split bd_split(const float *x, size_t ld, bool along, bool turn, size_t n, size_t K, uint32_t *to);

static inline size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t whole(size_t n, size_t unit)
{
	return (n + unit - 1) / unit * unit;
}

#endif
