/*
 * What may be done to files that the image brought, whose pages were the archive's: argv[1] is one
 * of several MiB, not a multiple of a page. With a second argument it is the unlinked program again.
 */
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, MIB = 1 << 20 };

/* kB of a line of /proc/meminfo */
static long meminfo(const char *key)
{
	char line[128];
	long value = -1;
	FILE *file = fopen("/proc/meminfo", "r");

	CHECK(file);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			value = atol(line + strlen(key));
	fclose(file);
	CHECK(value >= 0);
	return value;
}

static uint32_t sum(int fd, off_t *size)
{
	static unsigned char buffer[1 << 16];
	uint32_t sum = 0;
	ssize_t n;

	*size = 0;
	CHECK(!lseek(fd, 0, SEEK_SET));
	while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
		*size += n;
		for (ssize_t i = 0; i < n; i++)
			sum = sum * 31 + buffer[i];
	}
	CHECK(!n);
	return sum;
}

static unsigned char byte(int fd, off_t at)
{
	unsigned char value;

	CHECK(pread(fd, &value, 1, at) == 1);
	return value;
}

static void private_writes_stay_private(int fd, uint32_t before)
{
	off_t size;
	char *at = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	CHECK(at != MAP_FAILED);
	at[0]++;
	at[PAGE + 900]++;
	CHECK(byte(fd, 0) == 0x7f && sum(fd, &size) == before);
	munmap(at, 2 * PAGE);
}

static void size_and_blocks(int fd)
{
	struct stat status;
	struct statfs root;
	off_t size;

	sum(fd, &size);
	CHECK(!fstat(fd, &status) && status.st_size == size);
	CHECK(status.st_blocks * 512 >= size && status.st_blocks * 512 < size + 2 * PAGE);
	CHECK(!statfs("/", &root) && root.f_bfree < root.f_blocks);
	CHECK(root.f_files > root.f_ffree && root.f_ffree > 0);
}

static void shared_writes_and_the_tail(const char *path)
{
	struct stat status;
	int fd = open(path, O_RDWR);
	off_t last;
	char *at;

	CHECK(fd >= 0 && !fstat(fd, &status) && status.st_size % PAGE);
	last = status.st_size / PAGE * PAGE;
	at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, last);
	CHECK(at != MAP_FAILED);
	for (off_t i = status.st_size - last; i < PAGE; i++)
		CHECK(!at[i]);
	at[0] = 'S';
	CHECK(!msync(at, PAGE, MS_SYNC) && byte(fd, last) == 'S');
	CHECK(pwrite(fd, "Q", 1, last + 1) == 1 && at[1] == 'Q');
	munmap(at, PAGE);
	close(fd);
}

/* As much as truncation and unlinking free, tmpfs and the kernel's allocator get back. */
static void sizes_change(const char *path)
{
	struct stat status;
	int fd = open(path, O_RDWR);
	long memory, shmem, mebibytes;

	CHECK(fd >= 0 && !fstat(fd, &status));
	mebibytes = status.st_size / MIB - 1;
	CHECK(mebibytes > 2);
	CHECK(!ftruncate(fd, status.st_size + 10000) && !byte(fd, status.st_size + 5000));
	CHECK(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, 2 * PAGE));
	CHECK(!byte(fd, PAGE + 900) && lseek(fd, 0, SEEK_HOLE) == PAGE);
	CHECK(lseek(fd, PAGE, SEEK_DATA) == 3 * PAGE);
	memory = meminfo("MemFree:");
	shmem = meminfo("Shmem:");
	CHECK(!ftruncate(fd, MIB));
	CHECK(shmem - meminfo("Shmem:") >= mebibytes * 1024 - 16);
	CHECK(meminfo("MemFree:") - memory > mebibytes * 1024 - 512);
	shmem = meminfo("Shmem:");
	CHECK(!unlink(path) && !close(fd));
	CHECK(shmem - meminfo("Shmem:") >= 1024 - 16);
}

/* Pages of the archive go to the disk and come back. */
static void swapped(const char *path)
{
	int fd = open(path, O_RDONLY);
	long free_swap, shmem;
	off_t size;
	uint32_t before;
	char *memory;

	CHECK(fd >= 0);
	before = sum(fd, &size);
	CHECK(!swapon("/dev/vda", 0));
	free_swap = meminfo("SwapFree:");
	shmem = meminfo("Shmem:");
	size = meminfo("MemFree:") * 1024 + 8 * MIB;
	memory = malloc(size);
	CHECK(memory);
	for (off_t i = 0; i < size; i += PAGE)
		*(volatile char *)(memory + i) = 1;
	CHECK(meminfo("SwapFree:") < free_swap && meminfo("Shmem:") < shmem - 1024);
	CHECK(sum(fd, &size) == before);
	free(memory);
	close(fd);
}

static void unlinked_while_it_runs(const char *me, int fd, uint32_t before)
{
	struct stat status;
	off_t size;
	int other, end;
	pid_t child;

	CHECK(open(me, O_RDWR) < 0 && errno == ETXTBSY);
	CHECK(!link(me, "/app/second") && !unlink(me));
	CHECK(sum(fd, &size) == before && !fstat(fd, &status) && status.st_nlink == 1);
	other = open("/app/second", O_RDONLY);
	CHECK(other >= 0 && sum(other, &size) == before);
	CHECK(!unlink("/app/second") && !close(other));
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		execl("/proc/self/exe", "self", "file", "again", NULL);
		_exit(9);
	}
	CHECK(waitpid(child, &end, 0) == child && WIFEXITED(end) && WEXITSTATUS(end) == 17);
	CHECK(sum(fd, &size) == before);
}

int main(int argc, char **argv)
{
	char me[256] = "";
	uint32_t before;
	off_t size;
	int fd;

	if (argc == 3)
		return 17;
	CHECK(argc == 2 && readlink("/proc/self/exe", me, sizeof(me) - 1) > 0);
	fd = open(me, O_RDONLY);
	CHECK(fd >= 0);
	before = sum(fd, &size);
	private_writes_stay_private(fd, before);
	size_and_blocks(fd);
	shared_writes_and_the_tail(argv[1]);
	if (!access("/dev/vda", F_OK))
		swapped(argv[1]);
	else
		sizes_change(argv[1]);
	unlinked_while_it_runs(me, fd, before);
	puts("all as with any file");
	return 42;
}
