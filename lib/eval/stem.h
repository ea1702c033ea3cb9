/* Porter's stemmer for English as nltk.stem.porter computes it by default (mode NLTK_EXTENSIONS): M. F.
 * Porter, "An algorithm for suffix stripping", Program 14.3 (1980), with Porter's later rules and NLTK's;
 * ROUGE with stemming means this one. */
#ifndef BD_STEM_H
#define BD_STEM_H

#include <stddef.h>

/* Stems w[n] in place, lower-case ASCII letters and digits; returns the stem's length, never more than n. */
size_t bd_stem(char *w, size_t n);

#endif
