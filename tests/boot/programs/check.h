/* A test's program ends at the first thing that is wrong, and says which. */
#include <stdio.h>
#include <stdlib.h>

#define CHECK(what)                                                         \
	do {                                                                \
		if (!(what)) {                                              \
			printf("%s:%d: wrong: %s\n", __FILE__, __LINE__, #what); \
			exit(1);                                            \
		}                                                           \
	} while (0)
