/* The records of control.c, for the program that writes them and the one that looks for them. */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { CONTROL_KEY = 16, CONTROL_VALUE = 600 };

static inline void control_record(uint64_t n, char key[CONTROL_KEY], char value[CONTROL_VALUE])
{
	memset(key, 0, CONTROL_KEY);
	snprintf(key, CONTROL_KEY, "%llu", (unsigned long long)(n * 2654435761u % 1000000007u)); /* all over the tree */
	memset(value, 'a' + (int)(n % 26), CONTROL_VALUE);
}
