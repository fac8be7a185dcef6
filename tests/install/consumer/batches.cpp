// The same in C++.
#include "batches.c"
