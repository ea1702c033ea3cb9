/* The options of the training tools, shared by them, the plan and the loop. */
#ifndef BD_OPTIONS_H
#define BD_OPTIONS_H

#include "base/opt.h"
#include "machine/dev.h"
#include "math/sched.h"

#include <stdbool.h>
#include <stdint.h>

enum bd_weights { BD_WEIGHTS_AUTO, BD_WEIGHTS_FULL, BD_WEIGHTS_TERNARY };

struct bd_train {
	/* what and where */
	const char *model, *output; /* directories */
	struct bd_dev *dev;         /* NULL: the CPU, with common.threads */
	bool force;
	int weights;       /* enum bd_weights; AUTO: as the model's config says */
	const char *stage; /* "sft", "cpt", "distill": for the config and the log */
	int dtype;         /* index into "f32|bf16|f16": how the result is stored */
	/* how long */
	double epochs;         /* 0: one pass, or as many as steps or tokens need */
	int64_t steps, tokens; /* 0: not limited by it */
	bool shuffle;          /* hold the examples, take them in a new order (seed, pass) every pass */
	/* sequences per micro-step; or tokens per micro-step; micro-steps per step */
	int64_t batch, batch_tokens, accum, micro_tokens;
	/* optimiser */
	double lr, warmup; /* warm-up: fraction of the steps when < 1, else steps */
	int sched;
	double decay, beta1, beta2, eps, clip;
	/* keeping */
	int64_t checkpoint_every; /* steps; 0: only when a signal ends the run */
	bool resume;
	const char *eval;   /* stream; NULL: no evaluation */
	int64_t eval_every; /* steps; 0: at the end only */
	const char *log;
	bool dry_run;
	/* distillation; ignored for example streams */
	double ce, lambda, gamma; /* fixed weights */
	/* > 0: set the weight so that this ratio of gradient norms to CE's holds */
	double lambda_ratio, gamma_ratio;
	double tau;
	bool no_tau2;      /* LD without the factor tau^2 */
	int objective;     /* index into "kl|cakld" */
	double cakld_beta; /* < 0: the teacher's mean confidence */
	/* relation heads A_r; 0: the largest power of two up to 32 that suits both models */
	int64_t heads;
	double relation_temp;
	int relation;      /* index into "cosine|dot" */
	int relation_norm; /* index into "paper|code": weight gamma / (A_r rows) or / (A_r^2 rows) */
	bool states[3];    /* which of Q, K, V */
	int64_t layer;     /* student layer; -1: the teacher's by depth fraction */
	struct bd_common common;
};

struct bd_train bd_train_defaults(const char *stage);

/* Option rows shared by the training tools: put them into the tool's table. */
/* clang-format off */
#define BD_TRAIN_OPTIONS(t) \
	{"model", 'm', BD_STR, &(t).model, "DIR", "model to train", 0, 0}, \
	{"output", 'o', BD_STR, &(t).output, "DIR", "output", 0, 0}, \
	{"force", 'f', BD_FLAG, &(t).force, 0, "replace an existing output", 0, 0}, \
	{"weights", 'w', BD_ENUM, &(t).weights, "auto|full|ternary", \
	 "train dense weights or ternary ones (straight-through)", 0, 0}, \
	{"dtype", 0, BD_ENUM, &(t).dtype, "f32|bf16|f16", "number format of the result", 0, 0}, \
	{"epochs", 'e', BD_REAL, &(t).epochs, "N", \
	 "passes over the input (0: one, or as many as --steps or --tokens require)", 0.0, 1e6}, \
	{"steps", 'n', BD_INT, &(t).steps, "N", "stop after N optimiser steps (0: no limit)", 0, 1e12}, \
	{"tokens", 0, BD_INT, &(t).tokens, "N", "stop after N tokens (0: no limit)", 0, 1e15}, \
	{"batch", 'b', BD_INT, &(t).batch, "N", "sequences per micro-step", 1, 1e6}, \
	{"batch-tokens", 0, BD_INT, &(t).batch_tokens, "N", \
	 "maximum tokens per micro-step, instead of --batch (0: off)", 0, 1e9}, \
	{"micro-tokens", 0, BD_INT, &(t).micro_tokens, "N", \
	 "tokens run through the network at once (memory)", 1, 1e9}, \
	{"shuffle", 0, BD_FLAG, &(t).shuffle, 0, \
	 "hold the examples in memory and shuffle them every pass", 0, 0}, \
	{"accum", 0, BD_INT, &(t).accum, "N", "micro-steps whose gradients add up to one step", 1, 1e6}, \
	{"lr", 0, BD_REAL, &(t).lr, "X", "peak learning rate", 0.0, 10.0}, \
	{"warmup", 0, BD_REAL, &(t).warmup, "X", \
	 "warm-up: a fraction of the steps, or steps when 1 or more", 0.0, 1e9}, \
	{"schedule", 0, BD_ENUM, &(t).sched, BD_SCHED_NAMES, "learning-rate schedule", 0, 0}, \
	{"decay", 0, BD_REAL, &(t).decay, "X", "weight decay (gains and biases are exempt)", 0.0, 10.0}, \
	{"beta1", 0, BD_REAL, &(t).beta1, "X", "decay rate of AdamW's first moment", 0.0, 1.0}, \
	{"beta2", 0, BD_REAL, &(t).beta2, "X", "decay rate of AdamW's second moment", 0.0, 1.0}, \
	{"clip", 0, BD_REAL, &(t).clip, "X", "maximum gradient norm (0: off)", 0.0, 1e9}, \
	{"checkpoint-every", 0, BD_INT, &(t).checkpoint_every, "N", \
	 "write a checkpoint every N steps (0: only when interrupted)", 0, 1e12}, \
	{"resume", 0, BD_FLAG, &(t).resume, 0, "continue from the checkpoint of the same output", 0, 0}, \
	{"eval", 0, BD_STR, &(t).eval, "FILE", \
	 "example stream to evaluate on; the best model is kept", 0, 0}, \
	{"eval-every", 0, BD_INT, &(t).eval_every, "N", \
	 "steps between evaluations (0: only at the end)", 0, 1e12}, \
	{"log", 0, BD_STR, &(t).log, "FILE", "write JSON lines of metrics", 0, 0}, \
	{"dry-run", 0, BD_FLAG, &(t).dry_run, 0, "print the plan and exit", 0, 0}
/* clang-format on */

#endif
