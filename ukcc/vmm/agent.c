// SPDX-License-Identifier: Apache-2.0
/*
 * What a machine of a VMM with one serial port and no virtio ports has besides
 * its init (sysroot/init): a process that does what the host asks for, over a
 * virtio socket, in the words of the port `ukcc.requests`.
 *
 * The kernel starts it in place of /init (`rdinit=`).  It makes /dev/ttyS1,
 * where init looks for a port for its record, another name of the console,
 * leaves a child behind, and becomes init.  `agent cook` sets the console as a
 * person's terminal: a step of initialisation, since each word of init on that
 * port has made it raw.
 *
 * Without a C library, as it comes from memory of `ukcc run`; agent.py has it
 * compiled.  Every word from outside has bounds.
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include <time.h>

#define PORT		30059	/* ukcc/vmm/agent.py */
#define SEED_BYTES	32
#ifndef HOST
#define HOST		VMADDR_CID_HOST	/* a test without a host takes the machine itself */
#endif

#define MOMENT		50	/* ms between two looks whether there is an application */
#define BEAT		1000	/* ms between two words by which a lost host is noticed */

static long call(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}

#define CALL3(number, a, b, c) \
	call(__NR_##number, (long)(a), (long)(b), (long)(c), 0, 0)

struct window { unsigned short rows, columns, x, y; };

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The number at *at, of up to `most` digits, and *at behind it; -1 without one. */
static long number_at(const char **at, int most)
{
	long value = 0;
	int digits = 0;

	for (; is_digit(**at) && digits < most; digits++)
		value = 10 * value + *(*at)++ - '0';
	return digits && !is_digit(**at) ? value : -1;
}

/* Whether the word begins the line; *at then is behind it. */
static int takes(const char **at, const char *word)
{
	const char *left = *at;

	while (*word)
		if (*left++ != *word++)
			return 0;
	*at = left;
	return 1;
}

/*
 * The process group in the foreground of the console, whose session init
 * leads; 0 before there is an application.  proc(5): the name in brackets may
 * hold anything, then come a letter and the numbers ppid, pgrp, session,
 * tty_nr, tpgid.
 */
static int foreground(void)
{
	char text[512];
	long got, i;
	int fd = CALL3(open, "/proc/1/stat", O_RDONLY | O_CLOEXEC, 0);
	const char *at;
	int field;

	if (fd < 0)
		return 0;
	got = CALL3(read, fd, text, sizeof(text) - 1);
	CALL3(close, fd, 0, 0);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	for (i = got; i > 0 && text[i - 1] != ')'; i--)
		;
	at = text + i;
	for (field = 0; field < 6; field++) {
		while (*at && *at != ' ')
			at++;
		if (!*at++)
			return 0;
	}
	i = number_at(&at, 9);
	return i > 1 ? i : 0;
}

/* A signal that waits for an application, or 0. */
static int pending;

static void send_pending(void)
{
	int group = pending ? foreground() : 0;

	if (!group)
		return;
	CALL3(kill, group, pending, 0);
	pending = 0;
}

static void set_window(long rows, long columns)
{
	struct window size = { .rows = rows, .columns = columns };
	int fd;

	if (rows < 1 || rows > 65535 || columns < 1 || columns > 65535)
		return;
	fd = CALL3(open, "/dev/ttyS0", O_RDWR | O_NOCTTY | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	CALL3(ioctl, fd, TIOCSWINSZ, &size);
	CALL3(close, fd, 0, 0);
}

static int nibble(char c)
{
	if (is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * `SECONDS.NANOSECONDS SEED`: after a snapshot the clock is late, and another
 * copy of the machine has the same random numbers to come.
 */
static void go_on(const char *at)
{
	struct { struct rand_pool_info head; unsigned char bytes[SEED_BYTES]; } pool = {
		.head = { .entropy_count = 8 * SEED_BYTES, .buf_size = SEED_BYTES },
	};
	struct timespec now;
	int fd, i, high, low;

	now.tv_sec = number_at(&at, 12);
	if (now.tv_sec < 0 || *at++ != '.')
		return;
	now.tv_nsec = number_at(&at, 9);
	if (now.tv_nsec < 0 || *at++ != ' ')
		return;
	for (i = 0; i < SEED_BYTES; i++) {
		high = nibble(*at);
		low = high < 0 ? -1 : nibble(at[1]);
		if (low < 0)
			return;
		pool.bytes[i] = 16 * high + low;
		at += 2;
	}
	CALL3(clock_settime, 0, &now, 0);
	fd = CALL3(open, "/dev/urandom", O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	CALL3(ioctl, fd, RNDADDENTROPY, &pool);
	CALL3(ioctl, fd, RNDRESEEDCRNG, 0);
	CALL3(close, fd, 0, 0);
}

/* One line, ended by a NUL; what is not understood is passed over. */
static void obey(const char *at)
{
	long first;

	if (takes(&at, "signal ")) {
		first = number_at(&at, 2);
		if (!*at && first >= 1 && first <= 64) {
			pending = first;
			send_pending();
		}
	} else if (takes(&at, "resize ")) {
		first = number_at(&at, 5);
		if (*at++ == ' ')
			set_window(first, number_at(&at, 5));
	} else if (takes(&at, "resumed ")) {
		go_on(at);
	}
}

/* Obeys lines until the host has gone; a line that is too long is passed over. */
static void serve(int host)
{
	struct pollfd news = { .fd = host, .events = POLLIN };
	char line[256], bytes[256];
	unsigned int used = 0;
	long ready, got, i;

	for (;;) {
		ready = CALL3(poll, &news, 1, pending ? MOMENT : BEAT);
		send_pending();
		if (!ready && CALL3(write, host, "\n", 1) != 1)
			return;
		if (ready <= 0)
			continue;
		got = CALL3(read, host, bytes, sizeof(bytes));
		if (got <= 0)
			return;
		for (i = 0; i < got; i++) {
			if (bytes[i] != '\n') {
				line[used < sizeof(line) - 1 ? used : sizeof(line) - 1] = bytes[i];
				used += used < sizeof(line);
				continue;
			}
			if (used < sizeof(line)) {
				line[used] = '\0';
				obey(line);
			}
			used = 0;
		}
	}
}

static void wait_ms(int ms)
{
	CALL3(poll, 0, 0, ms);
}

/* No signal but SIGKILL and SIGSTOP does anything to it. */
static void __attribute__((noreturn)) be_agent(void)
{
	const struct sockaddr_vm there = {
		.svm_family = AF_VSOCK, .svm_port = PORT, .svm_cid = HOST,
	};
	unsigned long all = ~0UL;
	long host;

	call(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, 0, sizeof(all), 0);
	CALL3(setsid, 0, 0, 0);
	for (;;) {
		host = CALL3(socket, AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (host == -EAFNOSUPPORT)
			CALL3(exit_group, 0, 0, 0);	/* a kernel without virtio sockets */
		if (host >= 0 && !CALL3(connect, host, &there, sizeof(there)))
			serve(host);
		if (host >= 0)
			CALL3(close, host, 0, 0);
		send_pending();
		wait_ms(MOMENT);
	}
}

/* As set_terminal() of sysroot/init/console.c does it for a person. */
static long cook(void)
{
	struct termios mode;
	long fd = CALL3(open, "/dev/ttyS0", O_RDWR | O_NOCTTY | O_CLOEXEC, 0);

	if (fd < 0 || CALL3(ioctl, fd, TCGETS, &mode))
		return 1;
	mode.c_iflag = ICRNL | IXON | IUTF8;
	mode.c_oflag = OPOST | ONLCR;
	mode.c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
	mode.c_cflag |= CREAD | CLOCAL;
	return CALL3(ioctl, fd, TCSETS, &mode) ? 1 : 0;
}

/* Its own frame: the stack as the kernel leaves it (execve(2), the x86-64 ABI). */
static void __attribute__((noreturn, used)) start(long *stack)
{
	char **argv = (char **)(stack + 1);
	char **env = argv + stack[0] + 1;

	if (CALL3(getpid, 0, 0, 0) != 1)
		CALL3(exit_group, cook(), 0, 0);
	CALL3(mkdir, "/dev", 0755, 0);
	call(__NR_mount, (long)"devtmpfs", (long)"/dev", (long)"devtmpfs", 0, (long)"mode=0755");
	CALL3(unlink, "/dev/ttyS1", 0, 0);
	CALL3(symlink, "ttyS0", "/dev/ttyS1", 0);
	if (CALL3(fork, 0, 0, 0) == 0)
		be_agent();
	argv[0] = "/init";
	CALL3(execve, argv[0], argv, env);
	CALL3(exit_group, 1, 0, 0);
	for (;;)
		;
}

__asm__(".globl _start\n"
	"_start:	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call start\n");
