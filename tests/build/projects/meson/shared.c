#include <stdio.h>
#include "clock.h"

int main(void)
{
	printf("%d turns\n", turns(720));
	return 0;
}
