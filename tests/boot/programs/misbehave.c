/* What a stressor may do to a machine, one word each: the runner of stress jobs has to notice it. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1024 * 1024)

/* A file that nobody takes away: memory that does not come back. */
static int leak(void)
{
	static char block[MIB];
	int fd = open("/dev/shm/leak", O_WRONLY | O_CREAT, 0600);
	int i;

	memset(block, 1, sizeof(block));
	for (i = 0; i < 24; i++)
		if (write(fd, block, sizeof(block)) != sizeof(block))
			return 1;
	return 0;
}

/* A line in the kernel's log at the level of a warning. */
static int warn(void)
{
	static const char line[] = "<4>WARNING: CPU: 0 PID: 1 at a test\n";
	int fd = open("/dev/kmsg", O_WRONLY);

	return write(fd, line, strlen(line)) < 0;
}

/* An orphan in a session of its own. */
static int leave(void)
{
	if (fork() == 0) {
		setsid();
		pause();
	}
	return 0;
}

/* Ring 0 obeys: no stack and no handler can be found any more. */
static int die(void)
{
	unsigned long table[2] = { 0, 0 };

	__asm__ volatile("lidt %0; ud2" : : "m"(table));
	return 1;
}

/* All interrupts off, for ever. */
static int hang(void)
{
	__asm__ volatile("cli\n1: jmp 1b");
	return 1;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "uid"))
		return printf("uid %u in %s\n", getuid(), getcwd((char[256]){ "" }, 256)) < 0;
	if (!strcmp(what, "leak"))
		return leak();
	if (!strcmp(what, "warn"))
		return warn();
	if (!strcmp(what, "leave"))
		return leave();
	if (!strcmp(what, "die"))
		return die();
	if (!strcmp(what, "hang"))
		return hang();
	if (!strcmp(what, "sleep"))
		return sleep(1000) != 0;
	if (!strcmp(what, "crash"))
		*(volatile char *)8 = 1;
	return 2;
}
