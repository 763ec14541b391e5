#include "clock.h"
#include "config.h"

#if SIZE_OF_POINTER != 8 || HAVE_STRLCPY || !HAVE_CLOCK_GETTIME || PAGE != 4096
#error "configured for another machine"
#endif

int sum_of(int a, int b)
{
	return a + b;
}
