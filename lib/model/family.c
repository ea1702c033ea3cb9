#include "model/family.h"

static const struct bd_family_row rows[BD_FAMILIES] = {
    [BD_LLAMA] =
        {
            .name = "llama",
            .gguf = "llama",
            .act_key = "hidden_act",
            .act = BD_SILU,
            .theta = 10000,
            .eps = 1e-6,
            .mlp_bias = true,
        },
    [BD_QWEN2] =
        {
            .name = "qwen2",
            .gguf = "qwen2",
            .act_key = "hidden_act",
            .act = BD_SILU,
            .theta = 10000,
            .eps = 1e-6,
            .qkv_bias = true,
            .slides = BD_SLIDES_FROM,
        },
    [BD_QWEN3] =
        {
            .name = "qwen3",
            .gguf = "qwen3",
            .act_key = "hidden_act",
            .act = BD_SILU,
            .head_dim = 128,
            .theta = 10000,
            .eps = 1e-6,
            .qk_norm = true,
            .slides = BD_SLIDES_FROM,
        },
    [BD_GEMMA3] =
        {
            .name = "gemma3_text",
            .gguf = "gemma3",
            .act_key = "hidden_activation",
            .act = BD_GELU_TANH,
            .head_dim = 256,
            .theta = 1000000,
            .local = 10000,
            .eps = 1e-6,
            .tied = true,
            .qk_norm = true,
            .gemma = true,
            .slides = BD_SLIDES_BUT,
        },
    [BD_BITNET] =
        {
            .name = "bitnet",
            .gguf = "bitnet",
            .act_key = "hidden_act",
            .act = BD_RELU2,
            .theta = 500000,
            .eps = 1e-5,
            .norms = BD_NORMS_SUBLN,
        },
};

const struct bd_family_row *bd_family_row(enum bd_family f)
{
	return &rows[f];
}

const char *bd_family_name(enum bd_family f)
{
	return rows[f].name;
}
