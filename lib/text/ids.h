/* Lists of token ids that grow. */
#ifndef BD_IDS_H
#define BD_IDS_H

#include <stddef.h>
#include <stdint.h>

struct bd_ids {
	uint32_t *id;
	size_t n, cap;
};
void bd_ids_push(struct bd_ids *v, uint32_t id);
void bd_ids_free(struct bd_ids *v);

#endif
