/*
 * A page goes bad: the host's test injects a machine check at the address that is
 * printed here. As on Linux the process that reads it gets SIGBUS, and nobody else
 * notices.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define PRESENT	(1ull << 63)
#define FRAME	((1ull << 55) - 1)

static volatile long *page;

static uint64_t physical(volatile void *address, long size)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	CHECK(fd >= 0);
	CHECK(pread(fd, &entry, 8, (uintptr_t)address / size * 8) == 8);
	close(fd);
	CHECK(entry & PRESENT && entry & FRAME);
	return (entry & FRAME) * size;
}

static void survive(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	CHECK(info->si_code == BUS_MCEERR_AR);
	CHECK(info->si_addr == (void *)page);
	puts("survived");
	_exit(3);
}

/* Reads the page for ever, in this function and its own stack only. */
static void read_page(int with_handler)
{
	struct sigaction action = { .sa_sigaction = survive, .sa_flags = SA_SIGINFO };
	long size = sysconf(_SC_PAGESIZE);

	if (with_handler)
		CHECK(!sigaction(SIGBUS, &action, NULL));
	page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED);
	*page = 5;
	printf("bad page: %#llx\n", (unsigned long long)physical(page, size));
	fflush(stdout);
	while (*page == 5)
		;
	CHECK(!"reached");
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int with_handler = 0; with_handler <= 1; with_handler++) {
		pid_t child = fork();
		int status;

		if (!child)
			read_page(with_handler);
		CHECK(waitpid(child, &status, 0) == child);
		if (with_handler)
			CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
		else
			CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	}
	puts("right");
	return 0;
}
