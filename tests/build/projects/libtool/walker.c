#include <stdio.h>
#include <stdlib.h>
#include "path.h"

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	printf("%d steps\n", walk_steps(atof(argv[1]), atof(argv[2])));
	return 0;
}
