// SPDX-License-Identifier: GPL-2.0-only
/*
 * `/init core PID`: what the kernel runs for a process that dumps core, with
 * the core on standard input.  Only its notes are read there; memory is
 * fetched from the process, which the kernel holds until this one ends.
 */
#include "dump.h"
#include "init.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/user.h>
#include <unistd.h>

#define FIRST_STACK	(9UL << 20)	/* bytes of the thread that crashed */
#define OTHER_STACKS	(32UL << 10)	/* and of each other one */
#define MOST_NOTES	(16UL << 20)

static int read_all(int fd, void *data, size_t len)
{
	char *at = data;

	while (len) {
		ssize_t got = read(fd, at, len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		at += got;
		len -= got;
	}
	return 0;
}

static int skip(int fd, size_t len)
{
	char buffer[4096];

	while (len) {
		size_t part = len < sizeof(buffer) ? len : sizeof(buffer);

		if (read_all(fd, buffer, part))
			return -1;
		len -= part;
	}
	return 0;
}

/* The kernel writes headers, then notes, then memory. */
static int read_notes(int fd, struct notes *notes)
{
	size_t at = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
	Elf64_Ehdr header;
	Elf64_Phdr first;

	if (read_all(fd, &header, sizeof(header)) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) ||
	    header.e_phoff != sizeof(header) ||
	    read_all(fd, &first, sizeof(first)) || first.p_type != PT_NOTE ||
	    first.p_offset < at || first.p_filesz > MOST_NOTES)
		return -1;
	notes->data = malloc(first.p_filesz);
	notes->len = first.p_filesz;
	if (!notes->data || skip(fd, first.p_offset - at))
		return -1;
	return read_all(fd, notes->data, notes->len);
}

/* A note's text is aligned to 4 bytes only, so it is copied.  False if it is short. */
static int take_note(void *to, size_t size, const char *data, size_t len)
{
	if (len < size)
		return 0;
	memcpy(to, data, size);
	return 1;
}

/* The kernel puts the thread that crashed first. */
static void keep_stacks(struct dump *dump)
{
	size_t at = 0, len, limit = FIRST_STACK;
	struct user_regs_struct regs;
	struct elf_prstatus status;
	char *data;
	int type;

	while ((data = next_note(&dump->notes, &at, &type, &len))) {
		if (type != NT_PRSTATUS || !take_note(&status, sizeof(status), data, len))
			continue;
		memcpy(&regs, status.pr_reg, sizeof(regs));
		keep_stack(dump, regs.rsp, limit);
		if (limit == FIRST_STACK)
			keep_stack(dump, regs.rbp, OTHER_STACKS);
		limit = OTHER_STACKS;
	}
}

static char *hex(unsigned long n, char buffer[24])
{
	char *at = buffer + 23;

	*at = '\0';
	do {
		*--at = "0123456789abcdef"[n % 16];
		n /= 16;
	} while (n);
	return at;
}

/* Without a host that listens: `PROGRAM[PID]: signal N at ADDRESS, rip …` */
static void tell_console(struct dump *dump)
{
	static const struct {
		const char *name;
		size_t offset;
	} reg[] = {
		{ ", rip 0x", offsetof(struct user_regs_struct, rip) },
		{ ", rsp 0x", offsetof(struct user_regs_struct, rsp) },
		{ ", rbp 0x", offsetof(struct user_regs_struct, rbp) },
		{ ", rax 0x", offsetof(struct user_regs_struct, rax) },
		{ ", rdi 0x", offsetof(struct user_regs_struct, rdi) },
		{ ", rsi 0x", offsetof(struct user_regs_struct, rsi) },
	};
	char text[512] = "", number[24], *data;
	int has_status = 0, has_process = 0, has_info = 0, type;
	struct elf_prpsinfo process;
	struct elf_prstatus status;
	size_t at = 0, len, i;
	siginfo_t info;

	while ((data = next_note(&dump->notes, &at, &type, &len))) {
		if (type == NT_PRSTATUS && !has_status)
			has_status = take_note(&status, sizeof(status), data, len);
		if (type == NT_PRPSINFO)
			has_process |= take_note(&process, sizeof(process), data, len);
		if (type == NT_SIGINFO && !has_info)
			has_info = take_note(&info, sizeof(info), data, len);
	}
	if (!has_status || !has_process || !has_info)
		return;
	process.pr_fname[sizeof(process.pr_fname) - 1] = '\0';
	strcat(text, process.pr_fname);
	strcat(text, "[");
	strcat(text, decimal(dump->pid, number));
	strcat(text, "] was killed by signal ");
	strcat(text, decimal(info.si_signo, number));
	strcat(text, ", address 0x");
	strcat(text, hex((unsigned long)info.si_addr, number));
	for (i = 0; i < sizeof(reg) / sizeof(*reg); i++) {
		unsigned long value;

		memcpy(&value, (char *)status.pr_reg + reg[i].offset,
		       sizeof(value));
		strcat(text, reg[i].name);
		strcat(text, hex(value, number));
	}
	/* it has no descriptors but the core; complain() falls back on 2 */
	while (open("/dev/console", O_WRONLY) >= 0 && access("/proc/self/fd/2", F_OK))
		;
	complain("crash:", text, 0);
}

int report_crash(const char *pid)
{
	static struct dump dump;
	int port;

	/* the report of a machine short of memory counts more than most */
	write_text("/proc/self/oom_score_adj", "-1000");
	if (open_dump(&dump, atoi(pid)) || read_notes(STDIN_FILENO, &dump.notes)) {
		complain("a process crashed, and its core cannot be read:", pid, errno);
		return 1;
	}
	port = open_reports();
	if (port < 0) {
		tell_console(&dump);
		return 0;
	}
	keep_stacks(&dump);
	keep_vdso(&dump);
	send_dump(&dump, port, "crash");
	return 0;
}

/*
 * Has the kernel run us for every core.  %P: the process as init's namespace
 * knows it.  The kernel waits for up to so many helpers, and only while it
 * waits the memory can be read.
 */
void catch_crashes(void)
{
	write_text("/proc/sys/kernel/core_pattern", "|/init core %P");
	write_text("/proc/sys/kernel/core_pipe_limit", "64");
	/* daemons that have given up root's rights are dumped as well, to us */
	write_text("/proc/sys/fs/suid_dumpable", "2");
}
