/* Reading what the server sent, for the fuzzers of what speaks HTTP. */
#pragma once
#include "base/str.h"

/* Takes one complete HTTP answer off *s; false when *s does not start with one. out_head ends with the last header line, out_body is empty for HEAD. */
bool answers_take(struct str *s, struct str *out_head, struct str *out_body);
/* Whether text stands in s. */
bool answers_have(struct str s, const char *text);
/* Aborts with what was sent when s is not one well-formed element. */
void answers_check_element(struct str s);
