#include <stdio.h>
#include "count.h"

int main(int argc, char **argv)
{
	const char *const words[] = { "a", "b", "a", 0 };

	printf("%d\n", argc > 1 ? count_word(words, argv[1]) : -1);
	return 0;
}
