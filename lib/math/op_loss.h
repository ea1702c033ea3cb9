/* The losses of many positions and sequences, on a device (loss.h has the formulas). */
#ifndef BD_OP_LOSS_H
#define BD_OP_LOSS_H

#include "machine/dev.h"
#include "math/loss.h"

/* A position that has logits: its next token y, if that is a target, and the teacher's logits, if there is
 * LD. The addresses in `teacher` are the device's. */
struct bd_position {
	bool target, ld;
	uint32_t y;
	struct bd_teacher_logits teacher;
};

/* What is returned for a position: the unweighted losses, and the squared norms of their gradients at weight
 * 1. */
struct bd_position_loss {
	double ce, ld, ce2, ld2;
};

/* dz[P,V] = ce unit_ce d CE/dz + lambda unit_ld d LD/dz at every position. */
struct bd_logit_losses {
	float *dz;
	const float *z;                /* [P,V] */
	const struct bd_position *pos; /* host, [P] */
	struct bd_position_loss *loss; /* host, [P] */
	size_t P, V;
	size_t common; /* ids that LD compares, the first ones, <= V */
	struct bd_soften soften;
	float ce, lambda, unit_ce, unit_ld;
};
void bd_logit_losses(struct bd_dev *dev, const struct bd_logit_losses *o);

/* One state of one sequence; its gradient ds[n,ws] = gamma unit d AD/ds, its loss and the squared
 * norm of unit d AD/ds. */
struct bd_state_loss {
	struct bd_relation relation;
	float *ds;
	const float *s;    /* [n,ws] student */
	const uint16_t *t; /* [n,wt] teacher */
	double ad, ad2;    /* out */
};
struct bd_state_losses {
	struct bd_state_loss *item; /* host, [n] */
	size_t n;
	float unit, gamma;
};
void bd_state_losses(struct bd_dev *dev, const struct bd_state_losses *o);

extern const struct bd_op bd_op_logit_losses, bd_op_state_losses;

#endif
