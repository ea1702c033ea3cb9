/* All operations, for whoever writes another device (machine/dev.h). bd_dev_run hands the device an operation
 * and its operands; the device needs a version of its own of each operation, and finds it by the operation's
 * address or name. The struct of the operands, in the header given here, says the shapes, and which arrays
 * are in host memory.
 *
 * For inference, kern.h says what must come out the same bit by bit; the results of training have to be close
 * (within the tolerances of the golden tests) and the same from run to run. */
#ifndef BD_OPS_H
#define BD_OPS_H

#include "machine/dev.h"

/* clang-format off */
/*    operation              operands          header       what it computes */
#define BD_OPS(O) \
    O(embed_forward)      /* bd_embed          op_embed     out[T,C] = scale table[ids[t]] */ \
    O(embed_backward)     /* bd_embed_grad     op_embed     dtable[V,C] += scale dout[T,C] at rows ids[t] */ \
    O(lm_head_forward)    /* bd_lm_head        op_embed     z[P,V] = h[P,C] table[V,C]^T */ \
    O(rmsnorm_forward)    /* bd_rmsnorm        op_rmsnorm   y[rows,n] = gain x / rms(x) */ \
    O(rmsnorm_backward)   /* bd_rmsnorm_grad   op_rmsnorm   dx[rows,n], dgain[n] */ \
    O(dense_forward)      /* bd_dense          op_linear    y[T,N] = x[T,K] w[N,K]^T + bias[N] */ \
    O(dense_backward)     /* bd_dense_grad     op_linear    dx[T,K], dw[N,K], dbias[N] */ \
    O(int8_forward)       /* bd_quantise       op_linear    q[T,kpad], step[T], sum[T] of x[T,K] */ \
    O(int8_dequant)       /* bd_dequantise     op_linear    x[T,K] = q step */ \
    O(ternary_forward)    /* bd_ternary        op_linear    y[T,N] = step scale (q C[N,K]^T) + bias[N] */ \
    O(ternarise)          /* bd_ternarise      op_linear    codes, scale, What of masters w[N,K] */ \
    O(code_look)          /* bd_code_changes   op_linear    flips and counts of codes[N,K] */ \
    O(rope_forward)       /* bd_rope_turn      op_rope      q[T,H,D], k[T,G,D] turned by their positions */ \
    O(rope_backward)      /* bd_rope_turn      op_rope      the same, turned back */ \
    O(attention_forward)  /* bd_attention      op_attention out[T,H,D], lse[T,H] of q, keys, values */ \
    O(attention_backward) /* bd_attention_grad op_attention dq[T,H,D], dk, dv[T,G,D] */ \
    O(glu_forward)        /* bd_glu            op_glu       out[T,F] = act(gate) up */ \
    O(glu_backward)       /* bd_glu_grad       op_glu       dgate, dup[T,F] */ \
    O(vec_add)            /* bd_vec_sum        op_vec       out[rows,n] = x + y */ \
    O(vec_gather)         /* bd_vec_rows       op_vec       few[P,C] = many[row[p]] */ \
    O(vec_scatter)        /* bd_vec_rows       op_vec       many[row[p]] += few[P,C] */ \
    O(vec_to_f16)         /* bd_vec_halves     op_vec       out[rows,n] = x in f16 */ \
    O(vec_square_sum)     /* bd_vec_squares    op_vec       sum of x[n]^2 */ \
    O(logit_losses)       /* bd_logit_losses   op_loss      dz[P,V] and the losses of P positions */ \
    O(state_losses)       /* bd_state_losses   op_loss      ds[n,ws] and the relation losses of states */ \
    O(optim_step)         /* bd_optim_step     optim        w, m, v[n] after the step, g[n] = 0 */ \
    O(grad_norm)          /* bd_grad_norm      optim        ||g[n]|| */
/* clang-format on */

extern const struct bd_op *const bd_ops[]; /* in this order, NULL-terminated */

#endif
