/* The portal's colours of chats (Color::getSafeColors): names and hex values. A chat stores the index. Any thread, no state. */
#pragma once
#include "base/str.h"

#define CHAT_COLOURS 16 /* the safe ones; ORANGE stands behind them and is taken when asked for by name */
/* Index of "RED", "darkBlue", "DARK_BLUE", any case; ERR_SYNTAX when there is none. */
int chat_colour_index(struct str name);
/* A safe one by number, for who chose none. */
uint8_t chat_colour_by_number(uint64_t number);
/* "DARK_BLUE" / "3e99ce"; those of the first one for a damaged index. */
struct str chat_colour_name(uint8_t index);
struct str chat_colour_hex(uint8_t index);
