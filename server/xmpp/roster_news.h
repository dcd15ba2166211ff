/* What changes of the company structure mean to people online: roster pushes, presence that appears and goes. Home thread of the users. */
#pragma once
#include "server/im/org.h"
#include "server/im/session.h"

/* Registers its session hook; main, once. */
void roster_news_init(void);
/* Thread end. */
void roster_news_fini(void);
/* The structure of this worker changed: its users hear of it, a part at each turn of the loop. */
void roster_news(const struct org *before, const struct org *after);
/* The structure whose items the user's sessions have been sent entirely: its version is what a push may name (RFC 6121 2.6). */
const struct org *roster_news_told(const struct user *u);
