/* XMPP over BOSH (XEP-0124, XEP-0206): POST /bosh. A session lives on one worker, after login the home of its account; requests come to it. */
#pragma once
#include "bosh/route.h"

extern const struct route bosh_routes[];
/* Frees what is left of this worker's sessions. On the worker, before it ends; after all streams are gone. */
void bosh_thread_fini(void);
