/* Packed files, checking: digests of what is stored, and golden prompts whose logits must
 * come out the same. */
#include "base/hash.h"
#include "base/mem.h"
#include "base/msg.h"
#include "format/gguf_digest.h"
#include "pack/packed.h"

#include <stdio.h>
#include <string.h>

size_t bd_packed_check(const char *path, size_t *n)
{
	struct bd_gguf *g = bd_gguf_open(path);
	const struct bd_gguf_tensor *first;
	size_t bad;

	*n = bd_gguf_tensors(g);
	if (!bd_gguf_has(g, BD_GGUF_TENSOR_DIGESTS))
		bd_die(BD_DATA, "%s: has no digests and golden prompts; it was not written by bd-pack", path);
	bad = bd_gguf_damaged(g, NULL, &first);
	bd_gguf_close(g);
	return bad;
}

json_t *bd_golden(struct bd_net *net, const uint32_t *ids, size_t n)
{
	size_t V = (size_t)net->cfg.vocab, start[2] = {0, n}, last = n - 1, best = 0;
	struct bd_batch b = {.n_seq = 1, .T = n, .start = start, .ids = (uint32_t *)ids};
	struct bd_acts *a = bd_acts_new(net, false);
	float *dz = bd_dev_alloc(net->dev, V, sizeof(*dz)), *z = bd_alloc(V, sizeof(*z));
	json_t *list = json_array(), *golden;
	char hex[17];

	bd_net_logits(net, dz, bd_net_forward(net, a, &b, NULL), &last, 1, false);
	bd_dev_from(net->dev, z, dz, V * sizeof(*z));
	for (size_t i = 1; i < V; i++)
		if (z[i] > z[best])
			best = i;
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_integer(ids[i]));
	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)bd_hash64(z, V * sizeof(*z)));
	golden = json_pack("{s:o, s:I, s:s}", "ids", list, "argmax", (json_int_t)best, "xxh3", hex);
	bd_dev_free(net->dev, dz);
	bd_free(z);
	bd_acts_free(a);
	return golden;
}

/* The "ids" of a golden entry; dies unless they are a few ids of the vocabulary. */
static size_t golden_ids(const json_t *entry, uint32_t vocab, uint32_t **ids, const char *path)
{
	const json_t *list = bd_json_get(entry, "ids");
	size_t n = json_array_size(list);

	if (n == 0)
		bd_die(BD_DATA, "%s: bd.golden: an entry without ids", path);
	*ids = bd_alloc(n, sizeof(**ids));
	for (size_t i = 0; i < n; i++) {
		json_int_t id = json_integer_value(json_array_get(list, i));

		if (!json_is_integer(json_array_get(list, i)) || id < 0 || id >= (json_int_t)vocab)
			bd_die(BD_DATA, "%s: bd.golden: an id outside the vocabulary", path);
		(*ids)[i] = (uint32_t)id;
	}
	return n;
}

size_t bd_packed_verify(const char *path, struct bd_dev *dev, size_t *n)
{
	struct bd_net *net = bd_packed_open(path, dev);
	struct bd_gguf *g = net->release_arg;
	size_t len, bad = 0;
	const char *text = bd_gguf_str(g, "bd.golden", &len);
	json_t *golden = bd_json_parse(text, len, path);

	net->first = bd_gguf_uint(g, "bd.version") == 1;
	*n = json_array_size(golden);
	for (size_t i = 0; i < *n; i++) {
		const json_t *stored = json_array_get(golden, i);
		uint32_t *ids;
		size_t n_ids = golden_ids(stored, (uint32_t)net->cfg.vocab, &ids, path);
		json_t *now = bd_golden(net, ids, n_ids);

		bad += !json_equal(stored, now);
		json_decref(now);
		bd_free(ids);
	}
	json_decref(golden);
	bd_net_free(net);
	return bad;
}
