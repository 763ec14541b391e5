#include <stdio.h>
#include "config.h"

#if HAVE_NO_SUCH_FUNCTION || !HAVE_GETLINE || !HAVE_EPOLL_WAIT
#error "configured for another machine"
#endif

long count_lines(FILE *in);

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		printf("%s: %ld\n", argv[i], count_lines(fopen(argv[i], "r")));
	return argc - 1;
}
