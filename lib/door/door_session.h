/* What feeding tokens and going on with texts share. */
#ifndef BD_DOOR_SESSION_H
#define BD_DOOR_SESSION_H

#include "door/door.h"

void bd_door_need(struct bd_door_session *s); /* s->gen; under a guard */
/* fn(ctx) with the model's threads in the session's scope; a failure leaves the session empty. */
int bd_door_session_compute(struct bd_door_session *s, void (*fn)(void *ctx), void *ctx);

#endif
