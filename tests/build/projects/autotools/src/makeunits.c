#include <math.h>
#include <stdio.h>

int main(void)
{
	static const char *const names[] = { "mg", "g", "kg", "t" };

	puts("static const struct { const char *name; double grams; } units[] = {");
	for (int i = 0; i < 4; i++)
		printf("\t{ \"%s\", %g },\n", names[i], pow(1000, i - 1));
	puts("};");
	return 0;
}
