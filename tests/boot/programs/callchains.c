/*
 * Call chains of samples (perf events) in system calls: the application's part begins
 * at the call, and goes on to the callers, by their frame pointers.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

enum { PAGES = 64, ENOUGH = 16384 /* bytes: a sample has some 80 */ };

#define FRAME __attribute__((noinline, noclone))

struct sample {
	struct perf_event_header header;
	unsigned long ip, length, chain[];
};

static char zeros[1 << 16];

extern const char call_end[];

/* The system call is its own, not one of the C library's, which has no frame pointers. */
FRAME static void caller(int fd)
{
	long result;

	asm volatile("syscall\n"
		     "call_end:"
		     : "=a"(result)
		     : "0"(SYS_read), "D"(fd), "S"(zeros), "d"(sizeof(zeros))
		     : "rcx", "r11", "memory");
	CHECK(result == sizeof(zeros));
}

/* The C library's call leaves the gate with any rbp. */
FRAME static void caller_of_caller(int fd)
{
	caller(fd);
	getppid();
}

/* The call, and where its function returns to. */
static int right(const struct sample *one)
{
	unsigned long outer = (unsigned long)caller_of_caller;

	return one->length >= 3 && one->chain[0] == PERF_CONTEXT_USER &&
	       one->chain[1] == (unsigned long)call_end && one->chain[2] > outer &&
	       one->chain[2] < outer + 200;
}

int main(void)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 500000,	/* ns */
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_CALLCHAIN,
		.exclude_callchain_kernel = 1,
		.disabled = 1,
	};
	const size_t page = sysconf(_SC_PAGESIZE), size = PAGES * page;
	int fd = syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0), full;
	volatile struct perf_event_mmap_page *head;
	long kernel = 0, good = 0, at = 0;

	if (fd < 0) {
		/* not for everybody, elsewhere */
		CHECK(syscall(SYS_getuid) != 0);
		puts("right");
		return 0;
	}
	head = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(head != MAP_FAILED);
	full = open("/dev/zero", O_RDONLY);
	CHECK(!ioctl(fd, PERF_EVENT_IOC_ENABLE, 0));
	while (head->data_head < ENOUGH)
		caller_of_caller(full);
	CHECK(!ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));

	while (at < (long)head->data_head) {
		struct sample *one = (void *)((char *)head + page + at % size);
		int mode = one->header.misc & PERF_RECORD_MISC_CPUMODE_MASK;

		CHECK(head->data_head <= size);
		/* in read(): getppid() has hardly any */
		if (one->header.type == PERF_RECORD_SAMPLE && mode == PERF_RECORD_MISC_KERNEL) {
			kernel++;
			good += right(one);
		}
		at += one->header.size;
	}
	printf("%ld samples in the kernel, %ld with the right callers\n", kernel, good);
	CHECK(kernel > 50 && good > kernel * 3 / 4);
	puts("right");
	return 0;
}
