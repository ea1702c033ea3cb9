/* The list of operations. */
#include "math/ops.h"

#include "math/op_attention.h"
#include "math/op_embed.h"
#include "math/op_glu.h"
#include "math/op_linear.h"
#include "math/op_loss.h"
#include "math/op_rmsnorm.h"
#include "math/op_rope.h"
#include "math/op_vec.h"
#include "math/optim.h"

const struct bd_op *const bd_ops[] = {
    &bd_op_embed_forward,    &bd_op_embed_backward,  &bd_op_lm_head_forward,   &bd_op_rmsnorm_forward,
    &bd_op_rmsnorm_backward, &bd_op_dense_forward,   &bd_op_dense_backward,    &bd_op_int8_forward,
    &bd_op_int8_dequant,     &bd_op_ternary_forward, &bd_op_ternarise,         &bd_op_code_look,
    &bd_op_rope_forward,     &bd_op_rope_backward,   &bd_op_attention_forward, &bd_op_attention_backward,
    &bd_op_glu_forward,      &bd_op_glu_backward,    &bd_op_vec_add,           &bd_op_vec_gather,
    &bd_op_vec_scatter,      &bd_op_vec_to_f16,      &bd_op_vec_square_sum,    &bd_op_logit_losses,
    &bd_op_state_losses,     &bd_op_optim_step,      &bd_op_grad_norm,         NULL,
};
