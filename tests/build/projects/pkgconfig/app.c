#include <stdio.h>
#include <stdlib.h>

double outer(double x);

int main(int argc, char **argv)
{
	printf("%g\n", outer(argc > 1 ? atof(argv[1]) : USES_OUTER));
	return 0;
}
