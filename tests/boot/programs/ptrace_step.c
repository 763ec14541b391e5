/* Single steps into, through and out of the gate: the call happens once, and nothing is lost. */
#include "marked.h"

static int ends[2];
static const char byte = 'x';

static const long *arguments(void)
{
	static long six[6];

	six[0] = ends[1];
	six[1] = (long)&byte;
	six[2] = 1;
	six[3] = 0x1234567812345678;
	six[4] = 0x2345678923456789;
	six[5] = 0x3456789034567890;
	return six;
}

static void writes_once(void)
{
	CHECK(marked_call(SYS_write, arguments()) == 1);
	_exit(9);
}

static int is_at_site(const struct user_regs_struct *registers)
{
	return registers->rip >= (unsigned long)marked_site &&
	       registers->rip < (unsigned long)marked_end;
}

static int bytes_in_pipe(void)
{
	char data[16];

	return read(ends[0], data, sizeof(data));
}

/* Steps from the site's first instruction until it is left; registers are put back at each. */
static void step_over_the_site(int also_set)
{
	struct user_regs_struct registers;
	pid_t child = traced_child(writes_once, PTRACE_O_EXITKILL);
	unsigned long stack;
	int steps = 0;

	do {
		go_on(PTRACE_SINGLESTEP, child, 0);
		wait_stop(child, SIGTRAP);
		registers = registers_of(child);
	} while (registers.rip != (unsigned long)marked_site);
	stack = registers.rsp;
	CHECK(registers.rax == SYS_write);

	while (registers.rip != (unsigned long)marked_end) {
		CHECK(registers.rax == SYS_write && registers.rsp == stack);
		check_marks(&registers, arguments());
		if (also_set)
			put_back(child);
		go_on(PTRACE_SINGLESTEP, child, 0);
		wait_stop(child, SIGTRAP);
		registers = registers_of(child);
		CHECK(++steps < 12);
	}
	CHECK(steps >= 4);	/* three to the gate or the stub, and the call itself */
	CHECK(registers.rax == 1 && registers.rsp == stack);
	check_marks(&registers, arguments());
	CHECK(bytes_in_pipe() == 1);
	go_on(PTRACE_CONT, child, 0);
	wait_exit(child, 9);
}

/* A step into the site, then none: the flag of single steps must not stay behind. */
static void free_run_after_a_step(void)
{
	pid_t child = traced_child(writes_once, PTRACE_O_EXITKILL);
	struct user_regs_struct registers;

	do {
		go_on(PTRACE_SINGLESTEP, child, 0);
		wait_stop(child, SIGTRAP);
		registers = registers_of(child);
	} while (!is_at_site(&registers));
	/* one further, in the middle of the site */
	go_on(PTRACE_SINGLESTEP, child, 0);
	wait_stop(child, SIGTRAP);
	go_on(PTRACE_CONT, child, 0);
	wait_exit(child, 9);
	CHECK(bytes_in_pipe() == 1);
}

int main(void)
{
	CHECK(!pipe(ends));
	step_over_the_site(0);
	step_over_the_site(1);
	free_run_after_a_step();
	puts("right");
	return 0;
}
