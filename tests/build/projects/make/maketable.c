#include <math.h>
#include <stdio.h>

int main(void)
{
	puts("#include \"table.h\"\nconst double sines[10] = {");
	for (int i = 0; i < 10; i++)
		printf("\t%.17g,\n", sin(i));
	puts("};");
	return 0;
}
