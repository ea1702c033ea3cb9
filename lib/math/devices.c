#include "math/devices.h"

#include "base/msg.h"

#include <stdlib.h>
#include <string.h>

/* Name, function that opens it. */
#define LIST(D) D(cpu, bd_dev_threads)

#define DECLARE(name, open) struct bd_dev *open(int threads);
#define ROW(name, open)     {#name, open},
#define NAME(name, open)    " " #name

LIST(DECLARE)
static const struct {
	const char *name;
	struct bd_dev *(*open)(int threads);
} devices[] = {LIST(ROW)};

struct bd_dev *bd_dev_open(int threads)
{
	const char *name = getenv("BD_DEVICE");

	if (name == NULL || *name == '\0')
		return devices[0].open(threads);
	for (size_t i = 0; i < sizeof(devices) / sizeof(*devices); i++)
		if (strcmp(name, devices[i].name) == 0)
			return devices[i].open(threads);
	bd_die(BD_USAGE, "BD_DEVICE=%s: no such device; there are:" LIST(NAME), name);
}
