#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "units.h"

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	/* malloc() is rpl_malloc where configure believed that malloc(0) gives nothing. */
	char *copy = malloc(strlen(argv[2]) + 1);
	if (!copy)
		return 3;
	strcpy(copy, argv[2]);
	printf("%g g, %lu\n", atof(argv[1]) * unit_in_grams(copy),
	       crc32(0, (const Bytef *)copy, strlen(copy)));
	free(copy);
	return 0;
}
