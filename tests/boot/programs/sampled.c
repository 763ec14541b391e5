/* Samples of the CPU's clock (perf events): the application's share and the kernel's are told apart. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

enum { PAGES = 64, ENOUGH = 4096 /* bytes: a sample has 16 */ };

struct sample {
	struct perf_event_header header;
	unsigned long ip;
};

/* Computes, all in this function. */
__attribute__((noinline, noclone)) static double computes(long rounds)
{
	double sum = 0;

	/* or it would be computed once for all */
	__asm__ volatile("");
	for (long i = 1; i <= rounds; i++)
		sum += 1.0 / i;
	return sum;
}

static int clock_event(void)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000,	/* ns */
		.sample_type = PERF_SAMPLE_IP,
		.disabled = 1,
	};

	return syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}

int main(void)
{
	const size_t page = sysconf(_SC_PAGESIZE), size = PAGES * page;
	long user = 0, inside = 0, kernel = 0, at = 0;
	volatile struct perf_event_mmap_page *head;
	volatile double sum = 0;
	char zeros[1 << 16];
	int fd = clock_event(), full;

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
		sum += computes(100000);
	while (head->data_head < 2 * ENOUGH)
		CHECK(read(full, zeros, sizeof(zeros)) == sizeof(zeros));
	CHECK(!ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));

	while (at < (long)head->data_head) {
		struct sample *one = (void *)((char *)head + page + at % size);
		int mode = one->header.misc & PERF_RECORD_MISC_CPUMODE_MASK;

		if (one->header.type == PERF_RECORD_SAMPLE && mode == PERF_RECORD_MISC_USER) {
			user++;
			CHECK((long)one->ip > 0);
			inside += one->ip >= (unsigned long)computes &&
				  one->ip < (unsigned long)computes + 200;
		} else if (one->header.type == PERF_RECORD_SAMPLE) {
			kernel++;
			CHECK(mode == PERF_RECORD_MISC_KERNEL && (long)one->ip < 0);
		}
		at += one->header.size;
	}
	printf("%ld of the application, %ld of these in its loop; %ld of the kernel\n", user, inside,
	       kernel);
	CHECK(user > 100 && inside > user / 2 && kernel > 50);
	puts("right");
	return 0;
}
