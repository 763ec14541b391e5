#include <stdio.h>
#include <string.h>

__thread int greeted;

int greet(const char *name)
{
	printf("hello, %s (%zu)\n", name, strlen(name));
	return ++greeted;
}
