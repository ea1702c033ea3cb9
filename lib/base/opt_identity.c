#include "base/opt_identity.h"

#include "base/word.h"

#include <inttypes.h>
#include <string.h>

static void append_str(struct bd_buf *b, const char *s)
{
	if (s != NULL)
		bd_buf_fmt(b, "%zu:%s", strlen(s), s);
}

static void append_enum(struct bd_buf *b, const struct bd_opt *o)
{
	size_t n;
	const char *word = bd_word_at(o->arg, *(const int *)o->dst, &n);

	if (word != NULL)
		bd_buf_add(b, word, n);
}

static void append_value(struct bd_buf *b, const struct bd_opt *o)
{
	const struct bd_list *list = o->dst;
	const struct bd_ints *ints = o->dst;

	switch ((enum bd_opt_type)(o->type & BD_OPT_TYPE)) {
	case BD_FLAG:
		bd_buf_fmt(b, "%d", *(const bool *)o->dst);
		break;
	case BD_INT:
		bd_buf_fmt(b, "%" PRId64, *(const int64_t *)o->dst);
		break;
	case BD_REAL:
		bd_buf_fmt(b, "%.17g", *(const double *)o->dst);
		break;
	case BD_STR:
		append_str(b, *(const char *const *)o->dst);
		break;
	case BD_ENUM:
		append_enum(b, o);
		break;
	case BD_LIST:
		for (size_t i = 0; i < list->n; i++)
			append_str(b, list->item[i]);
		break;
	case BD_INTS:
		for (size_t i = 0; i < ints->n; i++)
			bd_buf_fmt(b, "%" PRId64 ",", ints->v[i]);
		break;
	}
}

void bd_opt_identity(struct bd_buf *b, const struct bd_opt *opts)
{
	for (const struct bd_opt *o = opts; o->name != NULL; o++)
		if ((o->type & BD_APART) == 0) {
			bd_buf_fmt(b, "%s=", o->name);
			append_value(b, o);
			bd_buf_str(b, "\n");
		}
}
