#include <stdio.h>

int main(int argc, char **argv)
{
	static const char *const names[] = { "midnight", "morning", "noon", "evening" };
	FILE *out = argc == 2 ? fopen(argv[1], "w") : NULL;

	if (!out)
		return 1;
	fputs("const char *const hour_names[24] = {\n", out);
	for (int i = 0; i < 24; i++)
		fprintf(out, "\t\"%s\",\n", names[i / 6]);
	fputs("};\n", out);
	return fclose(out);
}
