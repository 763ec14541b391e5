/* The least that a run can be asked: output, an argument, a status. */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "a word"))
		return 1;
	puts("right");
	return 42;
}
