/* Provenance lines: merging those of the inputs, writing this run's. */
#include "base/history.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "base/num.h"
#include "base/opt.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool holds(const json_t *list, const json_t *line)
{
	const json_t *l;
	size_t i;

	json_array_foreach(list, i, l)
		if (json_equal(l, line))
			return true;
	return false;
}

/* The lines of `from` that are not in `to` yet: inputs share ancestors. */
static void merge(json_t *to, const json_t *from)
{
	json_t *line;
	size_t i;

	json_array_foreach(from, i, line)
		if (json_is_string(line) && !holds(to, line))
			json_array_append(to, line);
}

/* " (2026-01-02T03:04:05Z)" */
static void append_date(struct bd_buf *b)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	char date[40];
	struct tm tm;
	time_t when;

	if (epoch == NULL)
		return;
	when = (time_t)bd_num_int(epoch, 0, 253402300799, "SOURCE_DATE_EPOCH"); /* the year 9999 */
	if (gmtime_r(&when, &tm) != NULL && strftime(date, sizeof(date), " (%Y-%m-%dT%H:%M:%SZ)", &tm) > 0)
		bd_buf_str(b, date);
}

json_t *bd_history(const struct bd_input *in, size_t n)
{
	json_t *list = json_array();
	struct bd_buf b = {0};
	const char *sep = " <- ";

	bd_buf_fmt(&b, "%s " BD_VERSION, bd_msg_tool_name());
	append_date(&b);
	bd_buf_fmt(&b, ": %s%s", bd_msg_tool_name(), bd_opt_arguments());
	for (size_t i = 0; i < n; i++) {
		merge(list, in[i].history);
		if (in[i].digest == NULL || in[i].digest[0] == '\0')
			continue;
		bd_buf_fmt(&b, "%s%s %s", sep, in[i].kind, in[i].digest);
		sep = ", ";
	}
	json_array_append_new(list, bd_json_string(b.p));
	bd_buf_free(&b);
	return list;
}

void bd_history_file(const char *path, char hex[BD_HEX])
{
	hex[0] = '\0';
	if (strcmp(path, "-") == 0 || !bd_is_file(path))
		return;
	struct bd_map m = bd_map_file(path);
	bd_hash128_hex(m.p, m.n, hex);
	bd_unmap(&m);
}
