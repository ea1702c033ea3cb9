/* Digests inside a GGUF file, which bd-pack writes: of the header, so that no key and no declaration can
 * change unnoticed, and of each tensor's bytes. Other programs' files have none. */
#ifndef BD_GGUF_DIGEST_H
#define BD_GGUF_DIGEST_H

#include "format/gguf.h"
#include "machine/par.h"

#define BD_GGUF_DIGEST         "bd.digest"         /* the last key: bd_gguf_put_digest */
#define BD_GGUF_TENSOR_DIGESTS "bd.tensor_digests" /* an array, in the order of the tensors */

/* Whether all that the file has is covered. Old files have digests of tensors only. */
bool bd_gguf_digested(const struct bd_gguf *g);
/* The header's digest, and that of each tensor through it: identifies the file. "" if there is none, or it
 * was not compared (--no-verify). */
const char *bd_gguf_identity(const struct bd_gguf *g);
/* How many tensors do not have the bytes of their digests; *first is one of them. */
size_t bd_gguf_damaged(const struct bd_gguf *g, struct bd_par *par, const struct bd_gguf_tensor **first);
/* Dies BD_DATA, naming the tensor, if one does not have the bytes of its digest, or is of type I2_S, which is
 * used where it is mapped, and has a code other than -1, 0 and 1. One pass over the file; under --no-verify,
 * over the codes. */
void bd_gguf_verify(const struct bd_gguf *g, struct bd_par *par);

#endif
