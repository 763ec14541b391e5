#include <stdio.h>

int work(int x)
{
	printf("work on %d\n", x);
	return x * 2;
}
