/* Protection keys bind data accesses to user pages at any privilege: the application in ring 0, too. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

static sigjmp_buf back;
static volatile int code, key_said;
static int key, rights;

static void caught(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	code = info->si_code;
	key_said = (int)info->si_pkey;
	siglongjmp(back, 1);
}

/* The si_code of the signal, or 0 for none. A handler begins with the rights of a new thread. */
static int touch(volatile int *at, int write)
{
	code = 0;
	pkey_set(key, rights);
	if (sigsetjmp(back, 1) == 0) {
		if (write)
			*at = 2;
		else
			(void)*at;
	}
	return code;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO };
	volatile int *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	key = pkey_alloc(0, 0);
	if (key < 0)
		return puts("the processor has no keys"), 1;
	sigaction(SIGSEGV, &action, NULL);
	if (pkey_mprotect((void *)page, 4096, PROT_READ | PROT_WRITE, key) || touch(page, 1))
		return puts("not to be written with all rights"), 2;
	rights = PKEY_DISABLE_WRITE;
	if (touch(page, 1) != SEGV_PKUERR || key_said != key || touch(page, 0))
		return printf("without writing: %d, key %d of %d\n", code, key_said, key), 3;
	rights = PKEY_DISABLE_ACCESS;
	if (touch(page, 0) != SEGV_PKUERR || key_said != key)
		return printf("without access: %d, key %d of %d\n", code, key_said, key), 4;
	rights = 0;
	if (touch(page, 0) || *page != 2)
		return puts("not to be read again"), 5;
	puts("right");
	return 0;
}
