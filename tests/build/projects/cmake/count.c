#include <string.h>
#include "config.h"
#include "count.h"

#if SIZE_OF_POINTER != 8 || defined(BIG_ENDIAN) || !defined(HAVE_GETLINE)
#error "configured for another machine"
#endif

int count_word(const char *const *list, const char *word)
{
	int count = 0;

	for (; *list; list++)
		count += !strcmp(*list, word);
	return count;
}
