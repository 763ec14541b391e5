// SPDX-License-Identifier: GPL-2.0-only
/* Runs a target over the files that are named: without libFuzzer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "rb");
		uint8_t *data;
		long len;

		if (!file || fseek(file, 0, SEEK_END) || (len = ftell(file)) < 0) {
			perror(argv[i]);
			return 1;
		}
		rewind(file);
		/* no byte more, so that a sanitizer sees what is read behind it */
		data = malloc(len);
		if (fread(data, 1, len, file) != (size_t)len) {
			perror(argv[i]);
			return 1;
		}
		fclose(file);
		LLVMFuzzerTestOneInput(data, len);
		free(data);
	}
	return 0;
}
