/*
 * Storms of signals, interrupts and page faults: whatever they hit (code, a system call, the
 * gate's first and last instructions), every register and the red zone stay what they were.
 */
#define _GNU_SOURCE
#include "cases.h"
#include "registers.h"

#include <fcntl.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

PROBE(gated, "	syscall");
PROBE(raw, "	.byte 0x0f, 0x05");
PROBE(spin, "1:	dec	%rcx\n	jnz	1b");
PROBE(touch, "	movb	$1, (%rsi)");

static volatile int handled, over;

/* Uses what a handler may use: vectors, x87, the stack, a system call. */
static void busy_handler(int number, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;
	volatile long double product = number;
	volatile double sums[8] = { number };

	(void)info;
	CHECK(frame->uc_mcontext.gregs[REG_RIP] > 0);	/* never the kernel's text */
	CHECK((frame->uc_mcontext.gregs[REG_CSGSFS] & 0xffff) == 0x33);
	for (int i = 1; i < 8; i++)
		sums[i] = sums[i - 1] * 1.5 + i;
	product *= sums[7];
	CHECK(product > 0);
	if (probes_have_avx)
		asm volatile("vpcmpeqd %%xmm0, %%xmm0, %%xmm0\n\tvzeroall" : : : "xmm0", "xmm1");
	CHECK(getpid() > 0);
	__atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED);
}

static void catch_storms(void)
{
	struct sigaction action = {
		.sa_sigaction = busy_handler, .sa_flags = SA_SIGINFO | SA_RESTART,
	};

	CHECK(!sigaction(SIGUSR1, &action, NULL));
	CHECK(!sigaction(SIGALRM, &action, NULL));
}

/* One system call between marks, with arguments that end it at once. */
static void one_call(uint32_t seed, long number, void (*probe)(void))
{
	mark_registers(seed);
	before.general[RAX] = number;
	before.general[RDI] = 0;
	probe();
	CHECK_UNCHANGED(CLOBBERED_BY_SYSCALL);
}

static void call_for(int wanted_signals)
{
	long parent = getppid();

	for (uint32_t seed = 0; handled < wanted_signals; seed++) {
		one_call(seed, SYS_getppid, seed % 4 ? gated : raw);
		CHECK((long)after.general[RAX] == parent);
		one_call(seed, SYS_sched_yield, gated);
		CHECK(!after.general[RAX]);
		one_call(seed, 100000, gated);
		CHECK((long)after.general[RAX] == -ENOSYS);
	}
}

static void timer_storm(void)
{
	struct itimerval fast = { { 0, 150 }, { 0, 150 } };

	catch_storms();
	CHECK(!setitimer(ITIMER_REAL, &fast, NULL));
	call_for(4000);
}

/* Another process kills as fast as it can. */
static void process_storm(void)
{
	pid_t parent = getpid(), child;

	catch_storms();
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (!kill(parent, SIGUSR1))
			sched_yield();
		_exit(0);
	}
	call_for(8000);
	kill(child, SIGKILL);
	CHECK(end_of(child) == 1000 + SIGKILL);
}

static void *keep_calling(void *unused)
{
	long parent = getppid();

	for (uint32_t seed = 0; !over; seed++) {
		one_call(seed, SYS_getppid, seed % 4 ? gated : raw);
		CHECK((long)after.general[RAX] == parent);
		one_call(seed, SYS_sched_yield, gated);
		mark_registers(seed);
		before.general[RCX] = 300;
		spin();
		CHECK_UNCHANGED(1u << RCX);
	}
	return unused;
}

/* Threads call while another directs signals at each of them. */
static void thread_storm(void)
{
	pthread_t threads[4];

	catch_storms();
	for (int i = 0; i < 4; i++)
		CHECK(!pthread_create(&threads[i], NULL, keep_calling, NULL));
	for (int i = 0; handled < 3000; i++) {
		CHECK(!pthread_kill(threads[i % 4], SIGUSR1));
		if (i % 4 == 3)
			sched_yield();
	}
	over = 1;
	for (int i = 0; i < 4; i++)
		CHECK(!pthread_join(threads[i], NULL));
}

/* A count of /proc/interrupts, summed over the CPUs; -1 when there is no such row. */
static long interrupts(const char *row)
{
	static char text[1 << 16];
	int fd = open("/proc/interrupts", O_RDONLY);
	ssize_t size = 0, got;
	long sum = 0;
	char *at;

	CHECK(fd >= 0);
	while ((got = read(fd, text + size, sizeof(text) - 1 - size)) > 0)
		size += got;
	text[size] = 0;
	close(fd);
	at = strstr(text, row);
	if (!at)
		return -1;
	for (at += strlen(row);;) {
		char *end;
		long count = strtol(at, &end, 10);

		if (end == at)
			return sum;
		sum += count;
		at = end;
	}
}

static int many_ipis(long calls, long flushes)
{
	return interrupts("CAL:") > calls + 100 || interrupts("TLB:") > flushes + 100;
}

/*
 * IPIs hit code with marks: to flush TLBs and to run barriers.  A busy host may
 * run one CPU after the other: then it takes some more until both are at work.
 */
static void ipi_storm(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), calls = interrupts("CAL:");
	long flushes = interrupts("TLB:");
	int rounds = 0, wanted = in_kernel && cpus > 1;
	pthread_t threads[4];
	char *page;

	CHECK(!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	for (int i = 0; i < 4; i++)
		CHECK(!pthread_create(&threads[i], NULL, keep_calling, NULL));
	do {
		for (int i = 0; i < 500; i++) {
			CHECK(!syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
			page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			CHECK(page != MAP_FAILED);
			*page = 1;
			CHECK(!munmap(page, 4096));
		}
	} while (wanted && !many_ipis(calls, flushes) && ++rounds < 20);
	over = 1;
	for (int i = 0; i < 4; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK(!wanted || many_ipis(calls, flushes));
}

/* A first touch of a page is a fault, in the middle of marks and of a storm. */
static void fault_storm(void)
{
	struct itimerval fast = { { 0, 500 }, { 0, 500 } };
	enum { PAGES = 2000 };
	char *pages = mmap(NULL, PAGES * 4096ul, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(pages != MAP_FAILED);
	catch_storms();
	CHECK(!setitimer(ITIMER_REAL, &fast, NULL));
	for (int round = 0; round < 5 || handled < 200; round++) {
		for (uint32_t i = 0; i < PAGES; i++) {
			mark_registers(i);
			before.general[RSI] = (uint64_t)(pages + i * 4096ul);
			touch();
			CHECK_UNCHANGED(0);
			CHECK(FLAGS_KEPT());
		}
		CHECK(!madvise(pages, PAGES * 4096ul, MADV_DONTNEED));
	}
}

/* Interrupts alone, without signals: the scheduler takes the CPU away and gives it back. */
static void preemption(void)
{
	pid_t rivals[2];
	const int cpus = 2;

	for (int i = 0; i < cpus; i++) {
		rivals[i] = fork();
		if (!rivals[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (uint32_t seed = 7;; seed += 3) {
				mark_registers(seed);
				before.general[RCX] = 100000;
				spin();
				CHECK_UNCHANGED(1u << RCX);
			}
		}
	}
	for (uint32_t seed = 0; seed < 400; seed++) {
		mark_registers(seed);
		before.general[RCX] = 200000;
		spin();
		CHECK_UNCHANGED(1u << RCX);
		CHECK(!after.general[RCX]);
	}
	for (int i = 0; i < cpus; i++) {
		kill(rivals[i], SIGKILL);
		CHECK(end_of(rivals[i]) == 1000 + SIGKILL);
	}
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		CASE(timer_storm), CASE(process_storm), CASE(thread_storm), CASE(ipi_storm),
		CASE(fault_storm), CASE(preemption), { 0 },
	};

	return run_cases(cases, argc, argv);
}
