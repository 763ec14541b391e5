/* Breakpoints written into code and in debug registers; watchpoints, also where the kernel writes. */
#include "marked.h"

static const long six[6] = { 1, 2, 3, 4, 5, 6 };
static volatile long watched[2];
static int ends[2];

static void body(void)
{
	CHECK(marked_call(SYS_getppid, six) == getppid());
	watched[0] = 1;
	/* the kernel writes */
	CHECK(CALL(SYS_read, ends[0], (long)watched, sizeof(watched), 4, 5, 6) == sizeof(watched));
	CHECK(watched[0] == 0x1122 && watched[1] == 0x3344);
	watched[1] = 2;
	_exit(9);
}

static pid_t start(void)
{
	static const long data[2] = { 0x1122, 0x3344 };

	CHECK(write(ends[1], data, sizeof(data)) == sizeof(data));
	return traced_child(body, PTRACE_O_EXITKILL);
}

static void ends_well(pid_t child)
{
	go_on(PTRACE_CONT, child, 0);
	wait_exit(child, 9);
}

/* Continues to the place, through `int3` in its first byte, and repairs it. */
static struct user_regs_struct run_to(pid_t child, const char *place)
{
	struct user_regs_struct registers;
	long word = ptrace(PTRACE_PEEKTEXT, child, place, 0);

	CHECK(!ptrace(PTRACE_POKETEXT, child, place, (word & ~0xffL) | 0xcc));
	go_on(PTRACE_CONT, child, 0);
	wait_stop(child, SIGTRAP);
	registers = registers_of(child);
	CHECK(registers.rip == (unsigned long)place + 1);
	CHECK(!ptrace(PTRACE_POKETEXT, child, place, word));
	registers.rip--;
	CHECK(!ptrace(PTRACE_SETREGS, child, 0, &registers));
	return registers;
}

static void in_code(void)
{
	struct user_regs_struct registers;
	pid_t child = start();

	registers = run_to(child, marked_site);
	check_marks(&registers, six);
	CHECK(registers.rax == SYS_getppid);
	registers = run_to(child, marked_end);
	check_marks(&registers, six);
	CHECK((long)registers.rax == getpid());
	ends_well(child);
}

enum { EXECUTE = 0, WRITE = 1, LENGTH_1 = 0, LENGTH_8 = 2 };

/* Debug register `number` at the address: enabled by bit 2n of DR7, kind and length from bit 16. */
static void arm(pid_t child, int number, const volatile void *address, int kind, int length)
{
	size_t registers = offsetof(struct user, u_debugreg);
	long control = 1L << 2 * number | (long)(kind | length << 2) << (16 + 4 * number);

	CHECK(!ptrace(PTRACE_POKEUSER, child, registers + number * sizeof(long), address));
	CHECK(!ptrace(PTRACE_POKEUSER, child, registers + 7 * sizeof(long), control));
}

static void expect_debug_stop(pid_t child, int number)
{
	size_t status = offsetof(struct user, u_debugreg[6]);
	struct user_regs_struct registers;
	siginfo_t info;

	go_on(PTRACE_CONT, child, 0);
	wait_stop(child, SIGTRAP);
	registers = registers_of(child);
	check_place(&registers);
	CHECK(ptrace(PTRACE_PEEKUSER, child, status, 0) & 1L << number);
	CHECK(!ptrace(PTRACE_POKEUSER, child, status, 0));
	CHECK(!ptrace(PTRACE_GETSIGINFO, child, 0, &info) && info.si_code == TRAP_HWBKPT);
	put_back(child);
}

static void in_debug_registers(void)
{
	struct user_regs_struct registers;
	pid_t child = start();

	arm(child, 0, marked_site, EXECUTE, LENGTH_1);
	expect_debug_stop(child, 0);
	registers = registers_of(child);
	CHECK(registers.rip == (unsigned long)marked_site);
	check_marks(&registers, six);

	arm(child, 1, marked_end, EXECUTE, LENGTH_1);
	expect_debug_stop(child, 1);
	registers = registers_of(child);
	CHECK(registers.rip == (unsigned long)marked_end);
	check_marks(&registers, six);
	CHECK((long)registers.rax == getpid());

	/* the same places again, at the next call */
	expect_debug_stop(child, 1);
	CHECK(registers_of(child).rip == (unsigned long)marked_end);
	ends_well(child);
}

/* The kernel's own writes hit nothing that a tracer hears of, and disturb nothing either. */
static void on_data(void)
{
	pid_t child = start();

	arm(child, 2, &watched[0], WRITE, LENGTH_8);
	expect_debug_stop(child, 2);
	CHECK(ptrace(PTRACE_PEEKDATA, child, &watched[0], 0) == 1);
	arm(child, 3, &watched[1], WRITE, LENGTH_8);
	expect_debug_stop(child, 3);
	CHECK(ptrace(PTRACE_PEEKDATA, child, &watched[1], 0) == 2);
	CHECK(ptrace(PTRACE_PEEKDATA, child, &watched[0], 0) == 0x1122);
	ends_well(child);
}

/* No debug register may point at the kernel, nor a breakpoint be set in the gate. */
static void not_in_the_kernel(void)
{
	size_t registers = offsetof(struct user, u_debugreg);
	pid_t child = start();

	CHECK(ptrace(PTRACE_POKEUSER, child, registers, 0xffffffff80200000) < 0);
	errno = 0;
	CHECK(ptrace(PTRACE_PEEKTEXT, child, 0xffffffff80200000, 0) == -1 && errno == EIO);
	CHECK(ptrace(PTRACE_POKETEXT, child, 0xffffffff80200000, 0) == -1 && errno == EIO);
	ends_well(child);
}

int main(void)
{
	CHECK(!pipe(ends));
	in_code();
	in_debug_registers();
	on_data();
	not_in_the_kernel();
	puts("right");
	return 0;
}
