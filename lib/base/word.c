#include "base/word.h"

#include <string.h>

const char *bd_word_at(const char *list, int i, size_t *n)
{
	if (i < 0)
		return NULL;
	for (; i > 0; i--) {
		list = strchr(list, '|');
		if (list == NULL)
			return NULL;
		list++;
	}
	*n = strcspn(list, "|");
	return list;
}

int bd_word_find(const char *list, const char *s)
{
	const char *word;
	size_t n;

	for (int i = 0; (word = bd_word_at(list, i, &n)) != NULL; i++)
		if (strlen(s) == n && memcmp(word, s, n) == 0)
			return i;
	return -1;
}
