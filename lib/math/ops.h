/* All operations, for whoever writes another device (machine/dev.h). bd_dev_run hands the device an operation
 * and its operands; the device needs a version of its own of each operation, and finds it by the operation's
 * address or name. The struct of the operands, in the header given here, says the shapes, and which arrays
 * are in host memory.
 *
 *	operation          operands          header         what it computes
 *	embed_forward      bd_embed          op_embed.h     out[T,C] = scale table[ids[t]]
 *	embed_backward     bd_embed_grad     op_embed.h     dtable[V,C] += scale dout[T,C] at rows ids[t]
 *	lm_head_forward    bd_lm_head        op_embed.h     z[P,V] = h[P,C] table[V,C]^T
 *	rmsnorm_forward    bd_rmsnorm        op_rmsnorm.h   y[rows,n] = gain x / rms(x)
 *	rmsnorm_backward   bd_rmsnorm_grad   op_rmsnorm.h   dx[rows,n], dgain[n]
 *	dense_forward      bd_dense          op_linear.h    y[T,N] = x[T,K] w[N,K]^T + bias[N]
 *	dense_backward     bd_dense_grad     op_linear.h    dx[T,K], dw[N,K], dbias[N]
 *	int8_forward       bd_quantise       op_linear.h    q[T,kpad], step[T], sum[T] of x[T,K]
 *	int8_dequant       bd_dequantise     op_linear.h    x[T,K] = q step
 *	ternary_forward    bd_ternary        op_linear.h    y[T,N] = step scale (q C[N,K]^T) + bias[N]
 *	ternarise          bd_ternarise      op_linear.h    codes, scale, What of masters w[N,K]
 *	code_look          bd_code_changes   op_linear.h    flips and counts of codes[N,K]
 *	rope_forward       bd_rope_turn      op_rope.h      q[T,H,D], k[T,G,D] turned by their positions
 *	rope_backward      bd_rope_turn      op_rope.h      the same, turned back
 *	attention_forward  bd_attention      op_attention.h out[T,H,D], lse[T,H] of q, keys, values
 *	attention_backward bd_attention_grad op_attention.h dq[T,H,D], dk, dv[T,G,D]
 *	glu_forward        bd_glu            op_glu.h       out[T,F] = act(gate) up
 *	glu_backward       bd_glu_grad       op_glu.h       dgate, dup[T,F]
 *	vec_add            bd_vec_sum        op_vec.h       out[rows,n] = x + y
 *	vec_gather         bd_vec_rows       op_vec.h       few[P,C] = many[row[p]]
 *	vec_scatter        bd_vec_rows       op_vec.h       many[row[p]] += few[P,C]
 *	vec_to_f16         bd_vec_halves     op_vec.h       out[rows,n] = x in f16
 *	vec_square_sum     bd_vec_squares    op_vec.h       sum of x[n]^2
 *	logit_losses       bd_logit_losses   op_loss.h      dz[P,V] and the losses of P positions
 *	state_losses       bd_state_losses   op_loss.h      ds[n,ws] and the relation losses of states
 *	optim_step         bd_optim_step     optim.h        w, m, v[n] after the step, g[n] = 0
 *	grad_norm          bd_grad_norm      optim.h        ||g[n]||
 *
 * For inference, kern.h says what must come out the same bit by bit; the results of training have to be close
 * (within the tolerances of the golden tests) and the same from run to run. */
#ifndef BD_OPS_H
#define BD_OPS_H

#include "machine/dev.h"

extern const struct bd_op *const bd_ops[]; /* in this order, NULL-terminated */

#endif
