/* The tensors of a packed file: the parts of a net under the names, in the types and in the
 * order of a target. */
#ifndef BD_PACK_ITEMS_H
#define BD_PACK_ITEMS_H

#include "net/net_parts.h"
#include "pack/target.h"

struct bd_item {
	char name[64];
	enum bd_ggml_type type;
	size_t cols, rows;          /* rows 0: one dimension */
	const struct bd_part *part; /* NULL: rope_freqs */
	enum { BD_ITEM_PART, BD_ITEM_SCALE, BD_ITEM_ONES, BD_ITEM_FREQS } what;
};

struct bd_items {
	struct bd_item *v;
	size_t n;
	struct bd_part *part; /* owned; they point into the net */
	const struct bd_net *net;
	const struct bd_layout *layout;
};
/* The net's tables are stored as they are, its linears as `ternary`. The net and the
 * layout must outlive it. */
struct bd_items bd_items_new(struct bd_net *net, const struct bd_layout *l, enum bd_ggml_type ternary);
void bd_items_free(struct bd_items *t);

/* The bytes of item i, in pieces. */
typedef void bd_items_sink(void *to, const void *p, size_t n);
void bd_items_send(const struct bd_items *t, size_t i, bd_items_sink *sink, void *to);

/* Whether the file can hold D of the linears exactly; else it is rounded there, and bd.scales keeps it. */
bool bd_items_exact(const struct bd_layout *l, enum bd_ggml_type ternary);

/* llama3's scaling of the frequencies theta^(-2i/D): factor[D/2], each >= 1, that they are divided by. */
void bd_rope_factors(float *factor, const struct bd_rope *r, size_t D);

#endif
