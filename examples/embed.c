/* A model inside another program, in C or C++:
 *
 *	cc embed.c $(pkg-config --cflags --libs bd)
 *	./a.out MODEL TEXT...
 *
 * MODEL continues the text, or, if it was made for a task with classes, sorts it: a TEXT for each of its
 * fields. */
#include <bd.h>
#include <stdio.h>
#include <string.h>

static int fail(void)
{
	fprintf(stderr, "%s\n", bd_error());
	return 1;
}

static int classify(bd_model *m, const char *const *field, size_t n)
{
	double p[64];
	int best = n <= 16 && bd_classes(m) <= 64 ? bd_classify(m, field, n, p) : -1;

	if (best < 0)
		return fail();
	printf("%s\t%.6f\n", bd_class(m, (size_t)best), p[best]);
	return 0;
}

static int go_on(bd_model *m, const char *prompt)
{
	bd_session *s = bd_session_new(m);
	bd_options o;
	const char *text;
	size_t n;
	int rc;

	memset(&o, 0, sizeof(o));
	o.size = sizeof(o);
	o.max_tokens = 24;
	rc = bd_prompt(s, prompt, strlen(prompt), &o);
	while (rc >= 0 && (rc = bd_next(s, &text, &n)) > 0)
		fwrite(text, 1, n, stdout);
	bd_session_free(s);
	return rc < 0 ? fail() : puts("") < 0;
}

int main(int argc, char **argv)
{
	const char *field[16] = {NULL};
	bd_model *m = argc > 2 ? bd_open(argv[1], 0) : NULL;
	int status;

	for (int i = 2; i < argc && i < 18; i++)
		field[i - 2] = argv[i];
	if (m == NULL)
		return fail();
	status = bd_classes(m) > 0 ? classify(m, field, bd_fields(m)) : go_on(m, argv[2]);
	bd_close(m);
	return status;
}
