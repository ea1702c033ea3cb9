/* Replays a corpus, where there is no libFuzzer: each argument is an input, or a directory of inputs. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static size_t replayed;

static void replay(const char *path)
{
	struct dirent *e;
	char *p;
	size_t n;
	DIR *d;

	if (!bd_is_dir(path)) {
		p = bd_read_file(path, &n);
		/* in a block of its own length, so that AddressSanitizer sees what is read beyond it */
		uint8_t *input = malloc(n);
		if (n > 0)
			memcpy(input, p, n);
		LLVMFuzzerTestOneInput(input, n);
		free(input);
		bd_free(p);
		replayed++;
		return;
	}
	d = opendir(path);
	while (d != NULL && (e = readdir(d)) != NULL) {
		p = bd_path(path, e->d_name);
		if (e->d_name[0] != '.')
			replay(p);
		bd_free(p);
	}
	if (d != NULL)
		closedir(d);
}

int main(int argc, char **argv)
{
	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	printf("%zu inputs\n", replayed);
	return 0;
}
