/* Reading a packed model file: GGUF with ternary tensors, tokenizer, task and golden prompts
 * inside (bd-model(5)). */
#ifndef BD_PACKED_H
#define BD_PACKED_H

#include "format/gguf.h"
#include "format/safetensors.h"
#include "net/net.h"
#include "pack/packed_config.h"

/* The net of a packed file, its config from the file's bd.config; I2_S rows and tables are used where they
 * are mapped. Checks names, types, shapes, scales, and that every byte is what was packed (gguf_digest.h). */
struct bd_net *bd_packed_open(const char *path, struct bd_dev *dev);
const char *bd_packed_digest(const struct bd_net *net); /* bd_gguf_identity */
/* The number of tensors whose bytes do not match the stored digest; *n = tensors in the file. A wrong header
 * dies. */
size_t bd_packed_check(const char *path, size_t *n);
/* Runs the golden prompts of the file: how many do not reproduce their stored logits bit for bit; *n = how
 * many there are. */
size_t bd_packed_verify(const char *path, struct bd_dev *dev, size_t *n);
/* Writes a model directory with dense weights D C. */
void bd_packed_unpack(const char *path, const char *dir, bool force, enum bd_dtype t, struct bd_dev *dev);

/* {"ids", "argmax", "xxh3": digest of the f32 logits [V] after the last id}. */
json_t *bd_golden(struct bd_net *net, const uint32_t *ids, size_t n);

#endif
