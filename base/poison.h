/* Included first by the compiler flags of every C file (-include): functions that have no safe use here do not compile.
 * rand and random are parameter names in OpenSSL's headers, so only their calls are caught. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets srand srandom drand48
#define rand() use_base_random_h_instead_of_rand
#define random() use_base_random_h_instead_of_random
