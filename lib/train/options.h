/* The options of the training tools, shared by them, the plan and the loop. */
#ifndef BD_OPTIONS_H
#define BD_OPTIONS_H

#include "base/opt.h"
#include "format/safetensors.h"
#include "machine/dev.h"
#include "math/loss.h"
#include "math/optim.h"
#include "math/sched.h"

#include <stdbool.h>
#include <stdint.h>

enum bd_weights { BD_WEIGHTS_AUTO, BD_WEIGHTS_FULL, BD_WEIGHTS_TERNARY };
#define BD_WEIGHTS_NAMES "auto|full|ternary"
/* What relations are made of: cosines of the states' rows, or their scaled dot products. */
enum bd_likeness { BD_COSINE, BD_DOT };
#define BD_LIKENESS_NAMES "cosine|dot"
/* AD weighs gamma / (A_r rows), or gamma / (A_r^2 rows). */
enum bd_ad_norm { BD_AD_PAPER, BD_AD_CODE };
#define BD_AD_NORM_NAMES "paper|code"

struct bd_train {
	/* what and where */
	const char *model, *output; /* directories */
	struct bd_dev *dev;         /* NULL: bd_dev_open(common.threads) */
	bool force;
	enum bd_weights weights; /* AUTO: as the model's config says */
	const char *stage;       /* "sft", "cpt", "distill": for the config and the log */
	enum bd_dtype dtype;     /* how the result is stored */
	/* how long */
	double epochs;         /* 0: one pass, or as many as steps or tokens need */
	int64_t steps, tokens; /* 0: not limited by it */
	bool shuffle;          /* hold the examples, take them in a new order (seed, pass) every pass */
	/* sequences per micro-step; or tokens per micro-step; micro-steps per step */
	int64_t batch, batch_tokens, accum, micro_tokens;
	/* optimiser */
	enum bd_optim_kind optimiser;
	double lr, warmup; /* warm-up: fraction of the steps when < 1, else steps */
	enum bd_sched sched;
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
	bool no_tau2; /* LD without the factor tau^2 */
	enum bd_divergence objective;
	double cakld_beta; /* < 0: the teacher's mean confidence */
	/* relation heads A_r; 0: the largest power of two up to 32 that suits both models */
	int64_t heads;
	double relation_temp;
	enum bd_likeness relation;
	enum bd_ad_norm relation_norm;
	const char *states; /* which of Q, K, V: "qkv", "v", ... */
	int64_t layer;      /* student layer; -1: the teacher's by depth fraction */
	struct bd_common common;
};

struct bd_train bd_train_defaults(const char *stage);

/* The states by name: which[0], [1], [2] of Q, K, V. Another letter dies BD_USAGE. */
void bd_train_states(const struct bd_train *t, bool which[3]);

/* The rows of the training tools' tables; a tool adds none of its own. All of them belong to a run's identity
 * (identity.h) but those that are BD_APART: they say where and how it runs, or identity.h has what became of
 * them. */
/* clang-format off */
#define BD_TRAIN_OPTIONS(t) \
	{"model", 'm', BD_STR | BD_APART | BD_READ, &(t).model, "DIR", "model to train", 0, 0}, \
	{"output", 'o', BD_STR | BD_APART | BD_WRITTEN, &(t).output, "DIR", "output", 0, 0}, \
	{"force", 'f', BD_FLAG | BD_APART, &(t).force, 0, "replace an existing output", 0, 0}, \
	{"weights", 'w', BD_ENUM | BD_APART, &(t).weights, BD_WEIGHTS_NAMES, \
	 "train dense weights or ternary ones (straight-through)", 0, 0}, \
	{"dtype", 0, BD_ENUM, &(t).dtype, BD_DTYPE_WORDS, "number format of the result", 0, 0}, \
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
	{"optimiser", 0, BD_ENUM, &(t).optimiser, BD_OPTIM_NAMES, "rule of the parameters' update", 0, 0}, \
	{"lr", 0, BD_REAL, &(t).lr, "X", "peak learning rate", 0.0, 10.0}, \
	{"warmup", 0, BD_REAL, &(t).warmup, "X", \
	 "warm-up: a fraction of the steps, or steps when 1 or more", 0.0, 1e9}, \
	{"schedule", 0, BD_ENUM, &(t).sched, BD_SCHED_NAMES, "learning-rate schedule", 0, 0}, \
	{"decay", 0, BD_REAL, &(t).decay, "X", "weight decay (gains and biases are exempt)", 0.0, 10.0}, \
	{"beta1", 0, BD_REAL, &(t).beta1, "X", "decay rate of AdamW's first moment", 0.0, 1.0}, \
	{"beta2", 0, BD_REAL, &(t).beta2, "X", "decay rate of AdamW's second moment", 0.0, 1.0}, \
	{"clip", 0, BD_REAL, &(t).clip, "X", "maximum gradient norm (0: off)", 0.0, 1e9}, \
	{"checkpoint-every", 0, BD_INT | BD_APART, &(t).checkpoint_every, "N", \
	 "write a checkpoint every N steps (0: only when interrupted)", 0, 1e12}, \
	{"resume", 0, BD_FLAG | BD_APART, &(t).resume, 0, \
	 "continue from the checkpoint of the same output", 0, 0}, \
	{"eval", 0, BD_STR | BD_READ, &(t).eval, "FILE", \
	 "example stream to evaluate on; the best model is kept", 0, 0}, \
	{"eval-every", 0, BD_INT, &(t).eval_every, "N", \
	 "steps between evaluations (0: only at the end)", 0, 1e12}, \
	{"log", 0, BD_STR | BD_APART | BD_WRITTEN, &(t).log, "FILE", "write JSON lines of metrics", 0, 0}, \
	{"dry-run", 0, BD_FLAG | BD_APART, &(t).dry_run, 0, "print the plan and exit", 0, 0}

/* And of distillation. */
#define BD_DISTILL_OPTIONS(t) \
	{"ce", 0, BD_REAL, &(t).ce, "X", "weight of the cross entropy", 0.0, 1e9}, \
	{"lambda", 0, BD_REAL, &(t).lambda, "X", "weight of the logit distillation LD", 0.0, 1e9}, \
	{"lambda-ratio", 0, BD_REAL, &(t).lambda_ratio, "R", \
	 "instead: make LD's gradient R times CE's, at the logits", 0.0, 1e6}, \
	{"gamma", 0, BD_REAL, &(t).gamma, "X", \
	 "weight of the attention-relation distillation AD", 0.0, 1e12}, \
	{"gamma-ratio", 0, BD_REAL, &(t).gamma_ratio, "R", \
	 "instead: make AD's gradient R times the others', at q, k, v", 0.0, 1e6}, \
	{"objective", 0, BD_ENUM, &(t).objective, BD_DIVERGENCES, "divergence of LD", 0, 0}, \
	{"tau", 0, BD_REAL, &(t).tau, "T", "temperature of LD (kl)", 0.01, 1000.0}, \
	{"no-tau2", 0, BD_FLAG, &(t).no_tau2, 0, "LD without the factor tau^2", 0, 0}, \
	{"cakld-beta", 0, BD_REAL, &(t).cakld_beta, "X", \
	 "share of the reverse KL (negative: the teacher's mean confidence)", -1.0, 1.0}, \
	{"states", 0, BD_STR | BD_APART, &(t).states, "LETTERS", \
	 "states whose relations AD compares", 0, 0}, \
	{"layer", 'l', BD_INT | BD_APART, &(t).layer, "N", \
	 "student layer for AD, counted from 0 (-1: at the teacher's depth)", -1, 1e6}, \
	{"heads", 0, BD_INT | BD_APART, &(t).heads, "N", \
	 "relation heads A_r (0: up to 32, as the widths allow)", 0, 1e6}, \
	{"relation", 0, BD_ENUM, &(t).relation, BD_LIKENESS_NAMES, \
	 "relations of normalised states, or scaled dot products", 0, 0}, \
	{"relation-temp", 0, BD_REAL, &(t).relation_temp, "T", "temperature of the relations", 1e-3, 1e6}, \
	{"relation-norm", 0, BD_ENUM, &(t).relation_norm, BD_AD_NORM_NAMES, \
	 "divide AD by A_r rows, or by A_r^2 rows", 0, 0}
/* clang-format on */

#endif
