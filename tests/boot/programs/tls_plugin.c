/* A library with thread-local data, loaded while threads are running already; see tls.c. */
#include <errno.h>
#include <unistd.h>

static __thread long counter = 1000;
static __thread char zeros[5000];
__thread long shown = 5;

long count(long by)
{
	for (unsigned int i = 0; i < sizeof(zeros); i++)
		if (zeros[i])
			return -1;
	shown += by;
	/* A call that fails, in between: errno is thread-local too. */
	if (read(-1, zeros, 1) != -1 || errno != EBADF)
		return -2;
	return counter += by;
}
