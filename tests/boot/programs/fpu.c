/* x87, SSE, AVX and AVX-512 state: across preemption, signals, faults, fork, threads, calls. */
#define _GNU_SOURCE
#include "cases.h"
#include "registers.h"

#include <pthread.h>
#include <sys/rseq.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

PROBE(spin, "1:	dec	%rcx\n	jnz	1b");
PROBE(fault, "	movb	$1, (%rsi)");
PROBE(gated, "	syscall");
PROBE(raw, "	.byte 0x0f, 0x05");

static volatile int handled;

static void spoil(int number)
{
	static const uint16_t odd_x87 = 0x77f;
	static const uint32_t odd_sse = 0x5f80;

	(void)number;
	asm volatile("fninit\n\tfldcw %0\n\tldmxcsr %1\n\tfldpi\n\tfldpi\n\t"
		     "pcmpeqd %%xmm7, %%xmm7" : : "m"(odd_x87), "m"(odd_sse) : "xmm7");
	if (probes_have_avx)
		asm volatile("vzeroall" : : : "xmm0");
	handled++;
}

/* Four values on the x87's stack and both control words, kept across `action`. */
struct x87 {
	uint16_t control;
	uint32_t sse;
	long double value[4];
};

static const struct x87 loaded = { 0xb7f, 0x7f80, { 1.25L, -2.5L, 1e300L, 3.0L } };

#define LOAD_X87()								\
	asm volatile("fninit\n\tfldcw %0\n\tldmxcsr %1\n\tfldt %2\n\tfldt %3\n\tfldt %4\n\tfldt %5" \
		     : : "m"(loaded.control), "m"(loaded.sse), "m"(loaded.value[0]),	\
			 "m"(loaded.value[1]), "m"(loaded.value[2]), "m"(loaded.value[3]))
#define STORE_X87(found)							\
	asm volatile("fstpt %2\n\tfstpt %3\n\tfstpt %4\n\tfstpt %5\n\tfnstcw %0\n\t"	\
		     "stmxcsr %1"						\
		     : "=m"((found).control), "=m"((found).sse), "=m"((found).value[3]), \
		       "=m"((found).value[2]), "=m"((found).value[1]), "=m"((found).value[0]))

static void check_x87(const struct x87 *found)
{
	CHECK(found->control == loaded.control);
	CHECK((found->sse & ~0x3fu) == (loaded.sse & ~0x3fu));
	for (int i = 0; i < 4; i++)
		CHECK(found->value[i] == loaded.value[i]);
}

#define KEEPS_X87(action)							\
	do {									\
		struct x87 found;						\
		static const uint16_t usual = 0x37f;				\
		static const uint32_t usual_sse = 0x1f80;			\
										\
		LOAD_X87();							\
		action;								\
		STORE_X87(found);						\
		asm volatile("fninit\n\tfldcw %0\n\tldmxcsr %1"			\
			     : : "m"(usual), "m"(usual_sse));			\
		check_x87(&found);						\
	} while (0)

static void spin_long(void)
{
	asm volatile("mov $500000, %%ecx\n1:\tdec %%ecx\n\tjnz 1b" : : : "rcx", "cc");
}

static void x87_and_controls(void)
{
	struct itimerval fast = { { 0, 1000 }, { 0, 1000 } };

	signal(SIGALRM, spoil);
	for (int i = 0; i < 200; i++) {
		KEEPS_X87(gated_call(SYS_getppid, 0, 0, 0, 0, 0, 0));
		KEEPS_X87(raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0));
	}
	CHECK(!setitimer(ITIMER_REAL, &fast, NULL));
	for (int i = 0; i < 100 || handled < 100; i++)
		KEEPS_X87(spin_long());
}

/* In a handler: the usual control words, and what was interrupted in the frame. */
static void see_frame(int number, siginfo_t *info, void *context)
{
	struct _libc_fpstate *state = ((ucontext_t *)context)->uc_mcontext.fpregs;
	uint16_t control;
	uint32_t sse;

	(void)number;
	(void)info;
	asm volatile("fnstcw %0\n\tstmxcsr %1" : "=m"(control), "=m"(sse));
	CHECK(control == 0x37f && sse == 0x1f80);
	CHECK(state->cwd == loaded.control && (state->mxcsr & ~0x3fu) == loaded.sse);
	CHECK(!memcmp(&state->_st[0], &loaded.value[3], 10));
	CHECK(!memcmp(&state->_st[3], &loaded.value[0], 10));
	handled++;
}

static void handlers_frame(void)
{
	struct sigaction action = { .sa_sigaction = see_frame, .sa_flags = SA_SIGINFO };
	long self = getpid();

	CHECK(!sigaction(SIGUSR1, &action, NULL));
	for (int i = 0; i < 100; i++) {
		KEEPS_X87(gated_call(SYS_kill, self, SIGUSR1, 0, 0, 0, 0));
		KEEPS_X87(raw_call(SYS_kill, self, SIGUSR1, 0, 0, 0, 0));
	}
	CHECK(handled == 200);
}

/* The first touch of a page: the kernel clears it, perhaps with vectors. */
static void page_faults(void)
{
	enum { PAGES = 2000 };
	char *pages = mmap(NULL, PAGES * 4096ul, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(pages != MAP_FAILED);
	for (uint32_t i = 0; i < PAGES; i++) {
		mark_registers(i);
		before.general[RSI] = (uint64_t)(pages + i * 4096ul);
		fault();
		CHECK_UNCHANGED(0);
	}
}

/* The control words go to a child and to a new thread; execve begins afresh. */
static void *new_thread(void *unused)
{
	uint16_t control;
	uint32_t sse;

	asm volatile("fnstcw %0\n\tstmxcsr %1" : "=m"(control), "=m"(sse));
	CHECK(control == loaded.control && (sse & ~0x3fu) == loaded.sse);
	return unused;
}

static void inheritance(void)
{
	struct x87 found;
	pthread_t thread;
	long child;

	LOAD_X87();
	child = gated_call(SYS_fork, 0, 0, 0, 0, 0, 0);
	STORE_X87(found);
	check_x87(&found);
	if (!child)
		_exit(6);
	CHECK(end_of((pid_t)child) == 6);
	LOAD_X87();
	asm volatile("ffree %st(0)\n\tffree %st(1)\n\tffree %st(2)\n\tffree %st(3)");
	CHECK(!pthread_create(&thread, NULL, new_thread, NULL));
	CHECK(!pthread_join(thread, NULL));
}

static void vectors_in_child(void)
{
	for (uint32_t seed = 0; seed < 100; seed++) {
		mark_registers(seed);
		before.general[RAX] = SYS_fork;
		if (seed % 2)
			gated();
		else
			raw();
		if (!after.general[RAX])
			_exit(changed_register(CLOBBERED_BY_SYSCALL) ? 1 : 8);
		CHECK_UNCHANGED(CLOBBERED_BY_SYSCALL);
		CHECK(end_of((pid_t)after.general[RAX]) == 8);
	}
}

/*
 * glibc registers each thread for restartable sequences, and then every switch of threads leaves
 * work for the way back to the application. Without, the vector state alone may be that work.
 */
static void leave_rseq(void)
{
	void *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	if (__rseq_size)
		CHECK(!syscall(SYS_rseq, area, 32, 1 /* unregister */, RSEQ_SIG));
}

/* Threads and processes with values of their own, more than there are CPUs. */
static void *compute(void *number)
{
	if ((long)number % 2)
		leave_rseq();
	for (uint32_t seed = (uint32_t)(long)number; seed < 100000; seed += 2000) {
		mark_registers(seed);
		before.general[RCX] = 50000;
		spin();
		CHECK_UNCHANGED(1u << RCX);
		mark_registers(seed + 1);
		before.general[RAX] = SYS_sched_yield;
		gated();
		CHECK_UNCHANGED(CLOBBERED_BY_SYSCALL);
	}
	return number;
}

static void preemption(void)
{
	pthread_t threads[8];

	for (long i = 0; i < 8; i++)
		CHECK(!pthread_create(&threads[i], NULL, compute, (void *)i));
	for (long i = 0; i < 8; i++)
		CHECK(!pthread_join(threads[i], NULL));
}

/* Upper halves of ymm, and zmm where the CPU has them, lie in the handler's frame too. */
static void __attribute__((target("avx512f"))) wide_vectors(void)
{
	static const uint64_t pattern[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	uint64_t low[8], high[8], mask;
	long self = getpid();

	if (!__builtin_cpu_supports("avx512f"))
		return;
	signal(SIGUSR1, spoil);
	for (int i = 0; i < 100; i++) {
		register long rax asm("rax") = SYS_kill;

		asm volatile("vmovdqu64 %4, %%zmm1\n\tvmovdqu64 %4, %%zmm31\n\tmov $0xa5a5, %%r12d\n\t"
			     "kmovw %%r12d, %%k5\n\tsyscall\n\tvmovdqu64 %%zmm1, %1\n\t"
			     "vmovdqu64 %%zmm31, %2\n\tkmovw %%k5, %%r12d\n\tmov %%r12, %3"
			     : "+r"(rax), "=m"(low), "=m"(high), "=m"(mask)
			     : "m"(pattern), "D"(self), "S"((long)SIGUSR1)
			     : "rcx", "r11", "r12", "xmm1", "memory");
		CHECK(!rax && mask == 0xa5a5);
		CHECK(!memcmp(low, pattern, 64) && !memcmp(high, pattern, 64));
	}
	CHECK(handled == 100);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		CASE(x87_and_controls), CASE(handlers_frame), CASE(page_faults), CASE(inheritance),
		CASE(vectors_in_child), CASE(preemption), CASE(wide_vectors), { 0 },
	};

	return run_cases(cases, argc, argv);
}
