#include <stdio.h>
#include <stdlib.h>
#include "table.h"

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 0;

	if (n < 0 || n > 9)
		return 2;
	printf("sine of %d is %g\n", n, round_to(sines[n], 3));
	return 0;
}
