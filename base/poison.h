/* Included last by the compiler flags of every C file (-include): functions that have no safe use here do not compile. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets rand random srand drand48
