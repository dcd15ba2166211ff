/* XEP-0363. Any worker. */
#pragma once
#include "xml/build.h"

/* The form of the server's disco#info that tells the largest file (section 4); part of its entity caps. */
void upload_disco_form(struct arena *a, struct node *query);
