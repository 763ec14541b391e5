#include <stdio.h>

int main(int argc, char **argv)
{
	FILE *out = argc == 2 ? fopen(argv[1], "w") : NULL;

	if (!out)
		return 1;
	fputs("const char *const word_list[] = { \"one\", \"two\", \"three\", 0 };\n", out);
	return fclose(out);
}
