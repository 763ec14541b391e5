/* Files in the directory argv[1]: many, large, renamed, mapped; `kept` stays for the host. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANY = 20, BLOCK = 4096, BLOCKS = 64 };

#define CHECK(condition)                                                \
	do {                                                            \
		if (!(condition)) {                                     \
			printf("%d: %s\n", __LINE__, #condition);       \
			return 1;                                       \
		}                                                       \
	} while (0)

static void fill(unsigned char *block, int number)
{
	for (int i = 0; i < BLOCK; i++)
		block[i] = (unsigned char)(i * 31 + number * 7);
}

int main(int argc, char **argv)
{
	unsigned char block[BLOCK], back[BLOCK], *map;
	char name[32], other[32];
	int fd, count = 0;
	FILE *kept;
	DIR *dir;

	CHECK(argc == 2 && chdir(argv[1]) == 0 && mkdir("sub", 0755) == 0);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "sub/a%d", i);
		snprintf(other, sizeof(other), "sub/b%d", i);
		CHECK((fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644)) >= 0);
		CHECK(write(fd, name, sizeof(name)) == sizeof(name) && close(fd) == 0);
		CHECK(rename(name, other) == 0);
	}
	CHECK((dir = opendir("sub")) != NULL);
	while (readdir(dir))
		count++;
	closedir(dir);
	CHECK(count == MANY + 2);
	CHECK((fd = open("large", O_CREAT | O_RDWR | O_TRUNC, 0644)) >= 0);
	for (int i = 0; i < BLOCKS; i++) {
		fill(block, i);
		CHECK(write(fd, block, BLOCK) == BLOCK);
	}
	CHECK(fsync(fd) == 0);
	for (int i = BLOCKS - 1; i >= 0; i--) {
		fill(block, i);
		CHECK(pread(fd, back, BLOCK, (off_t)i * BLOCK) == BLOCK);
		CHECK(memcmp(block, back, BLOCK) == 0);
	}
	map = mmap(NULL, (size_t)BLOCK * BLOCKS, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(map != MAP_FAILED);
	fill(block, 40);
	CHECK(memcmp(map + 40 * BLOCK, block, BLOCK) == 0 && close(fd) == 0);
	for (int i = 0; i < MANY; i++) {
		snprintf(other, sizeof(other), "sub/b%d", i);
		CHECK(unlink(other) == 0);
	}
	CHECK(rmdir("sub") == 0 && unlink("large") == 0);
	CHECK((kept = fopen("kept", "w")) && fputs("kept\n", kept) >= 0 && fclose(kept) == 0);
	puts("right");
	return 0;
}
