#include <stdio.h>
#include <unistd.h>

int main(void)
{
	printf("pages of %ld", sysconf(_SC_PAGESIZE));
	return 7;
}
