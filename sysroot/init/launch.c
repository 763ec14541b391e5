// SPDX-License-Identifier: GPL-2.0-only
/* The child that becomes the application. */
#include "init.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define MIB (1024 * 1024)

/*
 * NULL must stay unmapped, in a ring where the kernel would follow a null
 * pointer into the application's pages, and this capability could map it.
 * What else it gives, ioperm() and the like, ring 0 has anyway.
 */
static void keep_null_unmapped(void)
{
	prctl(PR_CAPBSET_DROP, CAP_SYS_RAWIO);
}

/* A fresh process: nothing ignored, nothing blocked. */
static void reset_signals(void)
{
	sigset_t none;
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * A job in the foreground of init's session, as a shell would start it.  It
 * must not lead the session: the end of a leader hangs the terminal up, and
 * what has not left the machine by then is thrown away.
 */
static void take_terminal(void)
{
	setpgid(0, 0);
	signal(SIGTTOU, SIG_IGN);
	tcsetpgrp(STDIN_FILENO, getpid());
}

/*
 * Standard input from the host's pipe or file, or from nowhere, where an end
 * of file comes in either case; the terminal has none.
 */
static void take_input(enum input input)
{
	int fd = -1;

	if (input == INPUT_TTY)
		return;
	if (input == INPUT_PORT) {
		fd = open_port("ukcc.stdin", O_RDONLY);
		if (fd < 0)
			complain("standard input is empty:", "no port", errno);
	}
	if (fd < 0)
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	dup2(fd, STDIN_FILENO);
	close(fd);
}

/* Bytes of memory that the loadable segments of an ELF file ask for. */
static unsigned long memory_asked(const char *program)
{
	int fd = open(program, O_RDONLY | O_CLOEXEC);
	unsigned long sum = 0;
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	int i;

	if (fd < 0)
		return 0;
	if (read(fd, &header, sizeof(header)) == sizeof(header) &&
	    !memcmp(header.e_ident, ELFMAG, SELFMAG)) {
		for (i = 0; i < header.e_phnum; i++) {
			off_t at = header.e_phoff + i * sizeof(segment);

			if (pread(fd, &segment, sizeof(segment), at) ==
				    sizeof(segment) &&
			    segment.p_type == PT_LOAD)
				sum += segment.p_memsz;
		}
	}
	close(fd);
	return sum;
}

/* `PROGRAM: Cannot allocate memory (asks for N MiB, M MiB of T MiB are free)` */
static void complain_of_memory(const char *program)
{
	char asked[24], has[24], all[24], text[512] = "";
	struct sysinfo machine = { 0 };
	const char *part[8];
	size_t i;

	sysinfo(&machine);
	if (!machine.mem_unit)
		machine.mem_unit = 1;
	part[0] = ": not enough memory: it asks for ";
	part[1] = decimal((memory_asked(program) + MIB - 1) / MIB, asked);
	part[2] = " MiB, ";
	part[3] = decimal(machine.freeram * machine.mem_unit / MIB, has);
	part[4] = " MiB of ";
	part[5] = decimal(machine.totalram * machine.mem_unit / MIB, all);
	part[6] = " MiB are free (-m gives more)";
	strncat(text, program, 256);
	for (i = 0; i < 7; i++)
		strcat(text, part[i]);
	complain("cannot run", text, 0);
}

static void complain_of_exec(const char *program, int error)
{
	if (error == ENOMEM)
		complain_of_memory(program);
	else
		complain("cannot run", program, error);
}

/* What both have in common, up to the user and the directory. */
static void prepare(const struct settings *settings)
{
	const char *cwd = settings->cwd ? settings->cwd : "/";
	struct account account;

	take_terminal();
	take_input(settings->input);
	take_outputs();
	if (set_limits(settings))
		_exit(126);
	keep_null_unmapped();
	if (settings->user) {
		keep_record_port();
		if (find_account(settings->user, &account))
			_exit(126);
		if (become(&account)) {
			complain("cannot become", settings->user, errno);
			_exit(126);
		}
	}
	if (chdir(cwd)) {
		complain("cannot change to the directory", cwd, errno);
		_exit(126);
	}
	reset_signals();
}

static void __attribute__((noreturn)) execute(const char *program, char **argv,
					      char **env)
{
	int error;

	execve(program, argv, env);
	error = errno;
	complain_of_exec(program, error);
	_exit(error == ENOENT ? 127 : 126);
}

/* Becomes the program, or ends with 127 or 126 as a shell would. */
void launch(const struct command *command)
{
	prepare(command->settings);
	if (!command->is_step && is_traced())
		launch_traced(command->program, command->argv, command->env);
	execute(command->program, command->argv, command->env);
}
