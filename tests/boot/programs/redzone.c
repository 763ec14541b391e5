/* Interrupts, faults and signals leave the 128 bytes below the stack pointer alone. */
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "check.h"

static volatile sig_atomic_t ticks;

static void tick(int number)
{
	(void)number;
	ticks++;
}

/* Fills the red zone, touches `page` (a fault), spins, and counts words that have changed. */
static uint64_t spoiled(uint64_t mark, uint64_t spins, volatile char *page)
{
	uint64_t bad = 0;

	asm volatile(
		"	.irp	at, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128\n"
		"	mov	%[mark], -\\at(%%rsp)\n"
		"	.endr\n"
		"	movb	$1, (%[page])\n"
		"1:	dec	%[spins]\n"
		"	jnz	1b\n"
		"	.irp	at, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128\n"
		"	mov	-\\at(%%rsp), %%rax\n"
		"	xor	%[mark], %%rax\n"
		"	or	%%rax, %[bad]\n"
		"	.endr\n"
		: [bad] "+r"(bad), [spins] "+r"(spins)
		: [mark] "r"(mark), [page] "r"(page)
		: "rax", "memory", "cc");
	return bad;
}

int main(void)
{
	struct itimerval fast = { { 0, 3000 }, { 0, 3000 } };
	const int rounds = 400;
	char *pages = mmap(NULL, rounds * 4096, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(pages != MAP_FAILED);
	signal(SIGALRM, tick);
	CHECK(!setitimer(ITIMER_REAL, &fast, NULL));
	for (int i = 0; i < rounds; i++)
		CHECK(!spoiled(0x5aa5f00f12345678 + i, 300000, pages + i * 4096));
	CHECK(ticks > 5);
	puts("right");
	return 0;
}
