/* Calls that may fail. */
#include "door/door.h"

#include "base/json.h"
#include "base/msg.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

int bd_door_call(struct bd_scope *s, void (*fn)(void *ctx), void *ctx)
{
	bd_json_guard();
	return -bd_guard(s, fn, ctx);
}

int bd_door_once(const struct bd_door_model *m, void (*fn)(void *ctx), void *ctx)
{
	struct bd_scope s;
	int status;

	bd_scope_begin(&s, (struct bd_scope *)(uintptr_t)&m->scope);
	status = bd_door_call(&s, fn, ctx);
	bd_scope_end(&s);
	return status;
}

int bd_door_compute(struct bd_door_model *m, struct bd_scope *s, void (*fn)(void *ctx), void *ctx)
{
	int status;

	if (m->pid != getpid())
		return bd_door_refuse(
		    "the model was opened before fork(): this process has no threads of it");
	pthread_mutex_lock(&m->lock);
	status = bd_door_call(s, fn, ctx);
	if (status != 0) {
		bd_scope_end(s);
		bd_scope_begin(s, &m->scope);
	}
	pthread_mutex_unlock(&m->lock);
	return status;
}

int bd_door_refuse(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(bd_guard_text(), BD_GUARD_TEXT, fmt, ap);
	va_end(ap);
	return BD_EARGUMENT;
}

int bd_door_missing(const char *what)
{
	return *bd_guard_text() != '\0' ? BD_EARGUMENT : bd_door_refuse("no %s: NULL was given", what);
}

const char *bd_error(void)
{
	return bd_guard_text();
}

const char *bd_version(void)
{
	return BD_VERSION;
}
