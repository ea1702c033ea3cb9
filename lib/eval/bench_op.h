/* One operation, timed on random numbers. */
#ifndef BD_BENCH_OP_H
#define BD_BENCH_OP_H

#include "base/json.h"
#include "eval/bench_shape.h"
#include "eval/roofline.h"
#include "machine/dev.h"
#include "math/op_linear.h"

/* What all operations of a run share. */
struct bd_timing {
	struct bd_shape shape;
	size_t weights; /* bytes of all linears and the head */
	struct bd_dev *dev;
	int64_t threads;
	size_t reps;
	struct bd_roofline roof;
	json_t *rows; /* a row for each operation that was timed */
};

/* To be filled in by whoever times one; pointers are device memory, released by bd_timed_run. */
struct bd_timed {
	char name[48], shape[48];                                         /* "linear k v", "1024 x 1024" */
	const char *type;                                                 /* of the weights */
	void (*run)(const struct bd_timing *x, const struct bd_timed *o); /* once */
	size_t T, K, N, depth;
	double operations, bytes; /* of one call: what it must compute, and read */
	enum bd_roof roof;        /* of its operations */
	/* What is read lies `copies` times in memory, in all as large as the model, so that caches keep no
	 * more of it from one call to the next than while a token is decoded; `copy` is the one to use. */
	size_t copies, copy, size;
	uint8_t *w; /* [copies] of `size` bytes */
	float *in, *out;
	struct bd_int8 q;
};

/* Times it, appends its row and releases its memory. */
void bd_timed_run(const struct bd_timing *x, struct bd_timed *o);
/* n random numbers between -1/2 and 1/2: of the host (bd_free), and of the device. */
float *bd_timed_host(size_t n);
float *bd_timed_numbers(const struct bd_timing *x, size_t n);
/* Room for the activations of T tokens. */
struct bd_int8 bd_timed_int8(const struct bd_timing *x, size_t T, size_t K);
/* o->size bytes, which repeat row[n], as often as o->copies says after it. */
void bd_timed_place(const struct bd_timing *x, struct bd_timed *o, const void *row, size_t n);

#endif
