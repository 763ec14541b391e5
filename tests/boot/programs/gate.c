/* The gate is used in ring 0 and only there, and keeps what SYSCALL keeps. */
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

extern const uint64_t __start_uk_gate_v1[] __attribute__((visibility("hidden")));
extern const uint64_t __stop_uk_gate_v1[] __attribute__((visibility("hidden")));

/* One call with known values in every register that must survive it. */
static long call_with_marks(long number, uint64_t lost[6])
{
	register long rax asm("rax") = number;
	register uint64_t r8 asm("r8") = 0x0808080808080808;
	register uint64_t r9 asm("r9") = 0x0909090909090909;
	register uint64_t r10 asm("r10") = 0x1010101010101010;
	uint64_t rdi = 1, rsi = 2, rdx = 3;

	asm volatile("syscall"
		     : "+r"(rax), "+r"(r8), "+r"(r9), "+r"(r10), "+D"(rdi), "+S"(rsi), "+d"(rdx)
		     :
		     : "rcx", "r11", "memory", "cc");
	lost[0] = rdi ^ 1;
	lost[1] = rsi ^ 2;
	lost[2] = rdx ^ 3;
	lost[3] = r8 ^ 0x0808080808080808;
	lost[4] = r9 ^ 0x0909090909090909;
	lost[5] = r10 ^ 0x1010101010101010;
	return rax;
}

/* String instructions run backwards, in the application and nowhere else. */
static long call_backwards(long number, void *argument)
{
	register long rax asm("rax") = number;
	unsigned long flags;

	asm volatile("std\n\tsyscall\n\tpushfq\n\tpopq %1\n\tcld"
		     : "+r"(rax), "=&r"(flags)
		     : "D"(argument) : "rcx", "r11", "memory", "cc");
	return flags & 0x400 ? rax : -1;
}

/* NT set in RFLAGS makes IRET fault, were it to reach the kernel. */
static long call_nested(long number, long first, long second)
{
	register long rax asm("rax") = number;

	asm volatile("pushfq\n\torq $0x4000, (%%rsp)\n\tpopfq\n\t"
		     "syscall\n\t"
		     "pushfq\n\tandq $~0x4000, (%%rsp)\n\tpopfq"
		     : "+r"(rax) : "D"(first), "S"(second) : "rcx", "r11", "memory", "cc");
	return rax;
}

static volatile int handled;

static void handle(int number)
{
	handled = number;
}

#include "check.h"

int main(int argc, char **argv)
{
	int in_kernel = argc > 1 && !strcmp(argv[1], "kernel");
	uint64_t gate = getauxval(AT_SYSINFO), lost[6];
	static struct utsname names[3];
	unsigned int cs;

	asm("mov %%cs, %0" : "=r"(cs));
	CHECK((cs & 3) == (in_kernel ? 0 : 3));
	CHECK(!!gate == in_kernel);
	for (const uint64_t *pointer = __start_uk_gate_v1; pointer < __stop_uk_gate_v1; pointer++)
		CHECK(in_kernel ? *pointer == gate : *pointer < 0x20000000);

	for (int i = 0; i < 100000; i++) {
		CHECK(call_with_marks(SYS_getppid, lost) == getppid());
		for (int r = 0; r < 6; r++)
			CHECK(!lost[r]);
	}
	CHECK(call_with_marks(100000, lost) == -38);	/* ENOSYS */
	CHECK(call_with_marks(-1, lost) == -38);
	CHECK(call_backwards(SYS_getpid, NULL) == getpid());
	CHECK(call_backwards(SYS_uname, &names[1]) == 0);
	CHECK(!memcmp(&names[0], &names[2], sizeof(names[0])));	/* both still empty */
	CHECK(!strcmp(names[1].sysname, "Linux"));
	CHECK(call_nested(SYS_getpid, 0, 0) == getpid());
	CHECK(call_nested(SYS_sched_yield, 0, 0) == 0);
	signal(SIGUSR1, handle);
	CHECK(call_nested(SYS_kill, getpid(), SIGUSR1) == 0 && handled == SIGUSR1);
	puts("right");
	return 0;
}
