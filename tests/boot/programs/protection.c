/* What must fault in ring 0 as in ring 3, with the right address, and leave the machine alive. */
#define _GNU_SOURCE
#include "cases.h"

#include <setjmp.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

#define KERNEL_TEXT 0xffffffff80200100ul	/* see CONFIG_PHYSICAL_START */
#define DIRECT_MAP 0xffff888000100000ul

static sigjmp_buf back;
static volatile uintptr_t address, ip;
static volatile int code, error;

static char other_stack[65536];

static void note(int number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	address = (uintptr_t)info->si_addr;
	code = info->si_code;
	ip = (uintptr_t)registers[REG_RIP];
	error = (int)registers[REG_ERR];
	siglongjmp(back, number);
}

static void catch_faults(void)
{
	stack_t other = { .ss_sp = other_stack, .ss_size = sizeof(other_stack) };
	struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	CHECK(!sigaltstack(&other, NULL));
	CHECK(!sigaction(SIGSEGV, &action, NULL));
	CHECK(!sigaction(SIGBUS, &action, NULL));
	CHECK(!sigaction(SIGILL, &action, NULL));
}

/* The signal that an action raises, 0 for none. */
#define SIGNAL_OF(action)							\
	({									\
		int raised = sigsetjmp(back, 1);				\
		if (!raised) {							\
			action;							\
		}								\
		raised;								\
	})

static volatile char *volatile place;
static volatile char got;

static void call(uintptr_t target)
{
	asm volatile("call *%0" : : "r"(target) : "memory", "rax", "rcx", "rdx");
}

enum { READS = 4, WRITES = 6, FETCHES = 0x14, PRESENT = 1 };

static void null_page(void)
{
	catch_faults();
	for (uintptr_t at = 0; at < 4096; at += 4095) {
		place = (char *)at;
		CHECK(SIGNAL_OF(got = *place) == SIGSEGV);
		CHECK(address == at && code == SEGV_MAPERR && error == READS);
		CHECK(SIGNAL_OF(*place = 1) == SIGSEGV);
		CHECK(address == at && code == SEGV_MAPERR && error == WRITES);
		CHECK(SIGNAL_OF(call(at)) == SIGSEGV);
		CHECK(address == at && ip == at && code == SEGV_MAPERR && error == FETCHES);
	}
}

static long lowest_address(void)
{
	char text[32] = "";
	int file = open("/proc/sys/vm/mmap_min_addr", O_RDONLY);

	CHECK(file >= 0 && read(file, text, sizeof(text) - 1) > 0);
	return strtol(text, NULL, 10);
}

/* Who is not root may not map the page at 0; the rule is there in both lives. */
static void lowest_mapping(void)
{
	long lowest = lowest_address();
	void *at;

	CHECK(lowest >= 4096);
	if (!geteuid())
		CHECK(!setresuid(1000, 1000, 1000));
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(at == MAP_FAILED && errno == EPERM);
	at = mmap((void *)lowest, 4096, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(at == (void *)lowest);
}

static const char constant[4096] __attribute__((aligned(4096))) = { 1 };
static char data[4096] __attribute__((aligned(4096))) = { (char)0xc3 };

static void write_or_execute(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	catch_faults();
	place = (char *)(uintptr_t)null_page;
	CHECK(SIGNAL_OF(*place = 1) == SIGSEGV);
	CHECK(address == (uintptr_t)null_page && code == SEGV_ACCERR && error == (WRITES | PRESENT));
	place = (char *)(uintptr_t)constant;
	CHECK(SIGNAL_OF(*place = 1) == SIGSEGV);
	CHECK(code == SEGV_ACCERR);
	CHECK(SIGNAL_OF(call((uintptr_t)data)) == SIGSEGV);
	CHECK(address == (uintptr_t)data && ip == (uintptr_t)data);
	CHECK(code == SEGV_ACCERR && error == (FETCHES | PRESENT));
	CHECK(page != MAP_FAILED);
	page[0] = (char)0xc3;
	CHECK(SIGNAL_OF(call((uintptr_t)page)) == SIGSEGV);
	CHECK(address == (uintptr_t)page && code == SEGV_ACCERR);
	CHECK(!mprotect(page, 4096, PROT_READ | PROT_EXEC));
	CHECK(SIGNAL_OF(call((uintptr_t)page)) == 0);
	place = page;
	CHECK(SIGNAL_OF(*place = 1) == SIGSEGV);
	CHECK(address == (uintptr_t)page && error == (WRITES | PRESENT));
}

static void execute_stack(void)
{
	char code_on_stack[16] = { (char)0xc3 };

	catch_faults();
	asm volatile("" : : "r"(code_on_stack) : "memory");
	CHECK(SIGNAL_OF(call((uintptr_t)code_on_stack)) == SIGSEGV);
	CHECK(address == (uintptr_t)code_on_stack && code == SEGV_ACCERR);
}

/* Not readable to ring 3; read-only and without a right to run in ring 0. */
static void kernel_memory(void)
{
	catch_faults();
	place = (char *)KERNEL_TEXT;
	CHECK(SIGNAL_OF(*place = 1) == SIGSEGV);
	CHECK(address == KERNEL_TEXT);
	CHECK(SIGNAL_OF(call(DIRECT_MAP)) == SIGSEGV);
	CHECK(address == DIRECT_MAP && ip == DIRECT_MAP);
	place = (char *)0xffffffffff600000;	/* where a vsyscall page would be */
	CHECK(SIGNAL_OF(*place = 1) == SIGSEGV);
	place = (char *)0xfffffffffffff000;
	CHECK(SIGNAL_OF(got = *place) == SIGSEGV);
	CHECK(address == 0xfffffffffffff000);
}

static void no_canonical_address(void)
{
	catch_faults();
	place = (char *)0x0000800000000000;
	CHECK(SIGNAL_OF(got = *place) == SIGSEGV && code == SI_KERNEL && !address);
	CHECK(SIGNAL_OF(call(0x0000800000000000)) == SIGSEGV && code == SI_KERNEL);
	CHECK(SIGNAL_OF(call(0x7fffffffffff)) == SIGSEGV);
}

/* The base of GS is the kernel's: ring 0 would load it, were the instruction allowed. */
static void gs_base(void)
{
	if (!in_kernel)
		return;
	catch_faults();
	CHECK(SIGNAL_OF(asm volatile("wrgsbase %0" : : "r"(data))) == SIGILL);
	CHECK(SIGNAL_OF(asm volatile("wrfsbase %0" : : "r"(data))) == SIGILL);
	CHECK(getpid() > 0);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		CASE(null_page), CASE(lowest_mapping), CASE(write_or_execute), CASE(execute_stack),
		CASE(kernel_memory), CASE(no_canonical_address), CASE(gs_base), { 0 },
	};

	return run_cases(cases, argc, argv);
}
