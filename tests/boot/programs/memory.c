/* Mappings: files, sharing, copies, protection that a handler repairs, sizes of pages. */
#define _GNU_SOURCE
#include "cases.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>

enum { PAGE = 4096, PAGES = 64 };

static int file_with(const char *text)
{
	int file = memfd_create("file", 0);

	CHECK(file >= 0 && !ftruncate(file, PAGES * PAGE));
	CHECK(pwrite(file, text, strlen(text), 0) == (ssize_t)strlen(text));
	return file;
}

static char *map(int file, int protection, int flags, size_t size)
{
	char *at = mmap(NULL, size, protection, flags | (file < 0 ? MAP_ANONYMOUS : 0), file, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

static void shared_and_private(void)
{
	int file = file_with("original");
	char *shared = map(file, PROT_READ | PROT_WRITE, MAP_SHARED, PAGES * PAGE);
	char *private = map(file, PROT_READ | PROT_WRITE, MAP_PRIVATE, PAGES * PAGE);
	char text[9] = "";

	CHECK(!strcmp(private, "original"));
	memcpy(shared, "SHARED", 6);
	CHECK(pread(file, text, 8, 0) == 8 && !strcmp(text, "SHAREDal"));
	CHECK(!strcmp(private, "SHAREDal"));		/* no copy yet */
	memcpy(private, "mine", 4);
	CHECK(!strcmp(shared, "SHAREDal"));
	memcpy(shared, "again", 5);
	CHECK(!strcmp(private, "mineEDal"));
}

static void between_processes(void)
{
	volatile uint32_t *turn = (uint32_t *)map(-1, PROT_READ | PROT_WRITE, MAP_SHARED, PAGE);
	volatile uint32_t *own = (uint32_t *)map(-1, PROT_READ | PROT_WRITE, MAP_PRIVATE, PAGE);
	pid_t child = fork();

	CHECK(child >= 0);
	for (uint32_t i = !child; i < 2000; i += 2) {
		while (*turn != i)
			syscall(SYS_sched_yield);
		CHECK(*own == i / 2);
		(*own)++;
		*turn = i + 1;
	}
	if (!child)
		_exit(5);
	CHECK(end_of(child) == 5);
	CHECK(*turn == 2000 && *own == 1000);
}

static char *guarded;
static volatile int repairs;

static void repair(int number, siginfo_t *info, void *context)
{
	char *page = (char *)((uintptr_t)info->si_addr & ~(PAGE - 1ul));

	CHECK(number == SIGSEGV && info->si_code == SEGV_ACCERR);
	CHECK(page >= guarded && page < guarded + PAGES * PAGE);
	/* By the application, a write, to a page that is there: the bits of the error code. */
	CHECK((((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & ~1) == 6);
	CHECK(!mprotect(page, PAGE, PROT_READ | PROT_WRITE));
	repairs++;
}

static void repaired_by_handler(void)
{
	struct sigaction action = { .sa_sigaction = repair, .sa_flags = SA_SIGINFO };

	guarded = map(-1, PROT_READ | PROT_WRITE, MAP_PRIVATE, PAGES * PAGE);
	CHECK(!sigaction(SIGSEGV, &action, NULL));
	for (int round = 0; round < 20; round++) {
		repairs = 0;
		memset(guarded, round, PAGES * PAGE);
		CHECK(!mprotect(guarded, PAGES * PAGE, PROT_READ));
		for (int i = 0; i < PAGES * PAGE; i += 1000) {
			guarded[i]++;
			CHECK(guarded[i] == round + 1);
		}
		CHECK(repairs == PAGES);
	}
}

/* A system call meets the same protection as EFAULT, and no signal. */
static void protection_in_calls(void)
{
	char *page = map(-1, PROT_READ, MAP_PRIVATE, PAGE);
	int zero = open("/dev/zero", O_RDONLY), pipes[2];

	CHECK(zero >= 0 && !pipe(pipes));
	CHECK(read(zero, page, 10) == -1 && errno == EFAULT);
	CHECK(!mprotect(page, PAGE, PROT_NONE));
	CHECK(write(pipes[1], page, 10) == -1 && errno == EFAULT);
	CHECK(write(pipes[1], (char *)0x0000900000000000, 10) == -1 && errno == EFAULT);
	/* Ring 0 could read these; a system call for the application must not. */
	CHECK(write(pipes[1], (char *)0xffffffff80200000, 10) == -1 && errno == EFAULT);
	CHECK(read(zero, (char *)0xffff888000100000, 10) == -1 && errno == EFAULT);
}

static void moved(void)
{
	char *old = map(-1, PROT_READ | PROT_WRITE, MAP_PRIVATE, PAGES * PAGE), *new;

	for (int i = 0; i < PAGES; i++)
		old[i * PAGE] = (char)i;
	new = mremap(old, PAGES * PAGE, 4 * PAGES * PAGE, MREMAP_MAYMOVE);
	CHECK(new != MAP_FAILED);
	for (int i = 0; i < PAGES; i++)
		CHECK(new[i * PAGE] == (char)i && !new[(PAGES + i) * PAGE]);
	CHECK(mremap(new, 4 * PAGES * PAGE, PAGE, 0) == new);
	CHECK(mincore(new + PAGE, PAGE, (unsigned char[1]){ 0 }) == -1 && errno == ENOMEM);
}

static void given_back(void)
{
	char *pages = map(-1, PROT_READ | PROT_WRITE, MAP_PRIVATE, PAGES * PAGE);
	unsigned char there[PAGES];

	memset(pages, 7, PAGES * PAGE);
	CHECK(!madvise(pages + PAGE, 10 * PAGE, MADV_DONTNEED));
	CHECK(pages[0] == 7 && pages[PAGE] == 0 && pages[10 * PAGE] == 0 && pages[11 * PAGE] == 7);
	CHECK(!madvise(pages, PAGES * PAGE, MADV_DONTNEED));
	CHECK(!mincore(pages, PAGES * PAGE, there) && !(there[3] & 1));
	CHECK(!mlock(pages, PAGES * PAGE));
	CHECK(!mincore(pages, PAGES * PAGE, there));
	for (int i = 0; i < PAGES; i++)
		CHECK(there[i] & 1);
	CHECK(madvise(pages, PAGE, MADV_DONTNEED) == -1 && errno == EINVAL);
	CHECK(!munlock(pages, PAGES * PAGE));
}

/* Beyond the end of a file: SIGBUS. */
static void beyond_file(void)
{
	int file = file_with("x");
	char *at = map(file, PROT_READ, MAP_SHARED, PAGES * PAGE);

	CHECK(!ftruncate(file, 1));
	CHECK(at[100] == 0);
	_exit(at[PAGE]);
}

static void end_of_file(void)
{
	CHECK(end_of_doing(beyond_file) == 1000 + SIGBUS);
}

/* mov $42, %eax; ret: run from a file's page, shared and private, and changed in between. */
static void code_in_file(void)
{
	static const char code[] = "\xb8\x2a\x00\x00\x00\xc3";
	int file = file_with("");
	int (*shared)(void) = (int (*)(void))map(file, PROT_READ | PROT_EXEC, MAP_SHARED, PAGE);
	int (*private)(void) = (int (*)(void))map(file, PROT_READ | PROT_EXEC, MAP_PRIVATE, PAGE);

	CHECK(pwrite(file, code, 6, 0) == 6);
	CHECK(shared() == 42 && private() == 42);
	for (char i = 1; i < 100; i++) {
		CHECK(pwrite(file, &i, 1, 1) == 1);
		CHECK(shared() == i);
	}
}

static long meminfo(const char *row)
{
	static char text[8192];
	int fd = open("/proc/meminfo", O_RDONLY);
	char *at;

	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	at = strstr(text, row);
	return at ? strtol(at + strlen(row), NULL, 10) : -1;
}

/* Only the unikernel: its memory is all ours. */
static void huge_pages(void)
{
	enum { HUGE = 2 << 20 };
	int number = open("/proc/sys/vm/nr_hugepages", O_WRONLY);
	char *pages;
	pid_t child;

	if (!in_kernel)
		return;
	CHECK(number >= 0 && write(number, "4", 1) == 1);
	CHECK(meminfo("HugePages_Total:") == 4);
	pages = map(-1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_HUGETLB, 2 * HUGE);
	CHECK((uintptr_t)pages % HUGE == 0);
	memset(pages, 5, 2 * HUGE);
	CHECK(meminfo("HugePages_Free:") == 2);
	child = fork();
	if (!child) {
		pages[0] = 6;
		_exit(pages[0] == 6 && pages[HUGE] == 5 ? 3 : 1);
	}
	CHECK(end_of(child) == 3);
	CHECK(pages[0] == 5 && pages[2 * HUGE - 1] == 5);
	CHECK(!munmap(pages, 2 * HUGE));
	CHECK(meminfo("HugePages_Free:") == 4);
	CHECK(write(number, "0", 1) == 1);
}

static void transparent_huge_pages(void)
{
	enum { HUGE = 2 << 20, SIZE = 4 * HUGE };
	char *pages = map(-1, PROT_READ | PROT_WRITE, MAP_PRIVATE, SIZE), *first;
	int enabled = open("/sys/kernel/mm/transparent_hugepage/enabled", O_WRONLY);
	long before = meminfo("AnonHugePages:");

	if (!in_kernel)
		return;
	/* In less than 512 MiB they are off. */
	CHECK(enabled >= 0 && write(enabled, "madvise", 7) == 7);
	first = (char *)(((uintptr_t)pages + HUGE - 1) & -(uintptr_t)HUGE);
	CHECK(!madvise(pages, SIZE, MADV_HUGEPAGE));
	memset(first, 9, 2 * HUGE);
	CHECK(meminfo("AnonHugePages:") >= before + 2 * HUGE / 1024);
	/* Splitting and copying one of them: */
	CHECK(!mprotect(first + HUGE / 2, PAGE, PROT_READ));
	CHECK(!madvise(first + HUGE, PAGE, MADV_DONTNEED));
	CHECK(first[HUGE / 2] == 9 && first[HUGE] == 0 && first[HUGE + PAGE] == 9);
	for (int i = 0; i < 2 * HUGE; i += PAGE)
		CHECK(first[i] == (i == HUGE ? 0 : 9));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		CASE(shared_and_private), CASE(between_processes), CASE(repaired_by_handler),
		CASE(protection_in_calls), CASE(moved), CASE(given_back), CASE(end_of_file),
		CASE(code_in_file), CASE(huge_pages), CASE(transparent_huge_pages), { 0 },
	};

	return run_cases(cases, argc, argv);
}
