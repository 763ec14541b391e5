/*
 * What ring 3 forbids and ring 0 obeys: each in a child of its own, which says
 * what became of it.  As a process each ends by the signal that Linux gives; in
 * the machine, by what docs/security.md says.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define IF_FLAG		(1ul << 9)
#define MSR_GS_BASE	0xc0000101u
#define KERNEL_HOLE	((volatile char *)0xffff900000000000ul)
/* The second page of memory, where the kernel maps all of it for itself: writable, no code. */
#define KERNEL_DATA	((volatile unsigned long *)0xffff888000001000ul)

#ifndef AT_SYSINFO
#define AT_SYSINFO	32
#endif

static unsigned long flags(void)
{
	unsigned long value;

	asm volatile("pushfq; popq %0" : "=r"(value));
	return value;
}

static unsigned long read_msr(unsigned int number)
{
	unsigned int low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
	return (unsigned long)high << 32 | low;
}

/* An interrupt wakes the CPU. */
static void halt(void)
{
	asm volatile("hlt");
}

/* A system call through the gate gives the interrupts back. */
static void cli_and_call(void)
{
	asm volatile("cli");
	getppid();
	CHECK(flags() & IF_FLAG);
}

/* So does a page fault, which must be handled as any other. */
static void cli_and_fault(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	asm volatile("cli");
	*(volatile char *)page = 1;
	CHECK(flags() & IF_FLAG);
}

static void port(void)
{
	outb(0, 0x80);
}

static void good_msr(void)
{
	read_msr(MSR_GS_BASE);
}

static void write_gs_base(void)
{
	asm volatile("wrgsbase %0" : : "r"(0ul));
}

static void control_register(void)
{
	unsigned long value;

	asm volatile("movq %%cr0, %0; movq %0, %%cr0" : "=r"(value));
}

static void write_kernel_text(void)
{
	*(volatile char *)(getauxval(AT_SYSINFO) & ~63ul) = 0;
}

static void read_fs_base(void)
{
	unsigned long value;

	asm volatile("rdfsbase %0" : "=r"(value));
}

/* The call fails, or the instruction does. */
static void read_forbidden_clock(void)
{
	unsigned int low, high;

	if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0)) {
		CHECK(errno == EINVAL);
		return;
	}
	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	CHECK(!"RDTSC faults");
}

/* A 32-bit call, where there are any. */
static void int_0x80(void)
{
	long number = 20;	/* getpid */

	asm volatile("int $0x80" : "+a"(number) : : "memory");
}

/* To the segments that signal frames and ptrace show, as one returns from a saved context. */
static void return_to_shown(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t parent = getppid();

	for (int i = 0; i < 100; i++) {
		asm volatile("movq	%%rsp, %%rax\n\t"
			     "leaq	-128(%%rsp), %%rsp\n\t"
			     "pushq	$0x2b\n\t"
			     "pushq	%%rax\n\t"
			     "pushfq\n\t"
			     "pushq	$0x33\n\t"
			     "leaq	1f(%%rip), %%rax\n\t"
			     "pushq	%%rax\n\t"
			     "iretq\n"
			     "1:"
			     : : : "rax", "memory");
		if (i == 50)
			*(volatile char *)page = 1;
		CHECK(getppid() == parent);
	}
}

/* From ring 0 this takes a stack pointer and a segment as well; there is none here. */
static void far_return(void)
{
	asm volatile("leaq	-144(%%rsp), %%rsp\n\t"
		     "movq	$0, 8(%%rsp)\n\t"
		     "movq	$0, (%%rsp)\n\t"
		     "pushq	$0x33\n\t"
		     "leaq	1f(%%rip), %%rax\n\t"
		     "pushq	%%rax\n\t"
		     "lretq\n"
		     "1:	leaq	144(%%rsp), %%rsp"
		     : : : "rax", "memory");
}

static void write_kernel_data(void)
{
	*KERNEL_DATA = *KERNEL_DATA;
}

static void read_kernel_hole(void)
{
	(void)*KERNEL_HOLE;
}

static void run_kernel_data(void)
{
	((void (*)(void))KERNEL_DATA)();
}

static void read_null(void)
{
	(void)**(volatile char *volatile *)&(char *){ NULL };
}

static void call_null(void)
{
	void (*volatile nothing)(void) = NULL;

	nothing();
}

static void map_null(void)
{
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	      MAP_FAILED);
	CHECK(errno == EPERM);
}

#define NOTHING_HAPPENS	0
#define ANY		-1	/* the host's matter, not ours */

static const struct {
	const char *name;
	void (*act)(void);
	int in_ring3, in_ring0;		/* the signal that ends the child */
} acts[] = {
	{ "hlt", halt, SIGSEGV, NOTHING_HAPPENS },
	{ "cli, call", cli_and_call, SIGSEGV, NOTHING_HAPPENS },
	{ "cli, fault", cli_and_fault, SIGSEGV, NOTHING_HAPPENS },
	{ "out", port, SIGSEGV, NOTHING_HAPPENS },
	{ "rdmsr", good_msr, SIGSEGV, NOTHING_HAPPENS },
	{ "wrgsbase", write_gs_base, ANY, SIGILL },
	{ "rdfsbase", read_fs_base, ANY, SIGILL },
	{ "rdtsc", read_forbidden_clock, SIGSEGV, NOTHING_HAPPENS },
	{ "int 0x80", int_0x80, ANY, NOTHING_HAPPENS },
	{ "iretq", return_to_shown, NOTHING_HAPPENS, NOTHING_HAPPENS },
	{ "lretq", far_return, NOTHING_HAPPENS, SIGSEGV },
	{ "mov cr0", control_register, SIGSEGV, NOTHING_HAPPENS },
	{ "write kernel text", write_kernel_text, SIGSEGV, SIGSEGV },
	{ "write kernel data", write_kernel_data, SIGSEGV, NOTHING_HAPPENS },
	{ "run kernel data", run_kernel_data, SIGSEGV, SIGSEGV },
	{ "read where nothing is", read_kernel_hole, SIGSEGV, SIGSEGV },
	{ "read NULL", read_null, SIGSEGV, SIGSEGV },
	{ "call NULL", call_null, SIGSEGV, SIGSEGV },
	{ "map NULL", map_null, ANY, NOTHING_HAPPENS },
};

int main(int argc, char **argv)
{
	int in_kernel = argc > 1 && !strcmp(argv[1], "kernel"), wrong = 0;

	for (size_t i = 0; i < sizeof(acts) / sizeof(*acts); i++) {
		int expected = in_kernel ? acts[i].in_ring0 : acts[i].in_ring3, status, got;
		pid_t child = fork();

		if (!child) {
			acts[i].act();
			_exit(0);
		}
		CHECK(waitpid(child, &status, 0) == child);
		got = WIFSIGNALED(status) ? WTERMSIG(status) : NOTHING_HAPPENS;
		if (expected == ANY || (got == expected && !WEXITSTATUS(status)))
			continue;
		printf("%s: %s, expected %s\n", acts[i].name,
		       got ? strsignal(got) : "nothing", expected ? strsignal(expected) : "nothing");
		wrong = 1;
	}
	if (!wrong)
		puts("right");
	return wrong;
}
