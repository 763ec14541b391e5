// SPDX-License-Identifier: GPL-2.0-only
/*
 * What every thread of every process is doing, for the host that asks: by
 * ptrace, and where that fails (a debugger is there already, or the thread
 * does not stop) by /proc.  A child of init does it, so init stays awake.
 */
#define _GNU_SOURCE
#include "dump.h"
#include "init.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STACK		(128UL << 10)	/* bytes of each */
#define MOST_THREADS	1024		/* of a process */
#define PATIENCE	100		/* of 10 ms, for all threads to stop */

/* Of our own: `TID STATE` lines. Number and text as in docs/architecture.md. */
#define NOTE_THREADS	2

struct thread {
	pid_t tid;
	char state;		/* as in /proc/PID/stat, before we touched it */
	int seized;
	int stopped;
};

/* /proc/A/B/C…, read whole. */
static char *read_proc(pid_t pid, pid_t tid, const char *what, size_t *len)
{
	char path[128] = "/proc/", number[24];

	strcat(path, decimal(pid, number));
	if (tid) {
		strcat(path, "/task/");
		strcat(path, decimal(tid, number));
	}
	strcat(path, what);
	return read_file(path, len);
}

/* The numbers among the names in a directory, 0 behind the last. */
static size_t numbers_in(const char *path, pid_t *list, size_t room)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	size_t count = 0;

	while (dir && count < room && (entry = readdir(dir)))
		if (atoi(entry->d_name) > 0)
			list[count++] = atoi(entry->d_name);
	if (dir)
		closedir(dir);
	return count;
}

static char state_of(pid_t pid, pid_t tid)
{
	size_t len;
	char *text = read_proc(pid, tid, "/stat", &len);
	char *end = text ? strrchr(text, ')') : NULL;
	char state = end && end[1] ? end[2] : '?';

	free(text);
	return state;
}

static size_t find_threads(pid_t pid, struct thread *thread)
{
	static pid_t tid[MOST_THREADS];
	char path[64] = "/proc/", number[24];
	size_t count, i;

	strcat(path, decimal(pid, number));
	strcat(path, "/task");
	count = numbers_in(path, tid, MOST_THREADS);
	for (i = 0; i < count; i++)
		thread[i] = (struct thread){
			.tid = tid[i], .state = state_of(pid, tid[i]),
		};
	return count;
}

/* Stops them, but waits no longer than a second for all. */
static void stop(struct thread *thread, size_t count)
{
	const struct timespec a_while = { .tv_nsec = 10 * 1000 * 1000 };
	size_t i, missing = 0;
	int tries;

	for (i = 0; i < count; i++) {
		thread[i].seized = !ptrace(PTRACE_SEIZE, thread[i].tid, 0, 0);
		if (thread[i].seized)
			ptrace(PTRACE_INTERRUPT, thread[i].tid, 0, 0);
		missing += thread[i].seized;
	}
	for (tries = 0; missing && tries < PATIENCE; tries++) {
		for (i = 0; i < count; i++) {
			int status;

			if (!thread[i].seized || thread[i].stopped ||
			    waitpid(thread[i].tid, &status,
				    __WALL | WNOHANG) <= 0)
				continue;
			thread[i].stopped = 1;
			missing--;
		}
		if (missing)
			nanosleep(&a_while, NULL);
	}
}

/*
 * Registers of a stopped thread; of a blocked one at least the call with its
 * arguments, stack pointer and address (proc(5), /proc/PID/syscall).
 */
static int read_registers(pid_t pid, const struct thread *thread,
			  struct user_regs_struct *regs)
{
	struct iovec whole = { regs, sizeof(*regs) };
	__typeof__(regs->rip) *const field[] = {
		&regs->orig_rax, &regs->rdi, &regs->rsi, &regs->rdx,
		&regs->r10, &regs->r8, &regs->r9, &regs->rsp, &regs->rip,
	};
	char *text, *at, *end;
	size_t len, i;

	memset(regs, 0, sizeof(*regs));
	if (thread->stopped)
		return ptrace(PTRACE_GETREGSET, thread->tid,
			      (void *)NT_PRSTATUS, &whole);
	text = read_proc(pid, thread->tid, "/syscall", &len);
	at = text;
	for (i = 0; at && i < sizeof(field) / sizeof(*field); i++) {
		*field[i] = strtoull(at, &end, 0);
		if (end == at)
			break;
		at = end;
	}
	free(text);
	return i == sizeof(field) / sizeof(*field) ? 0 : -1;
}

static void add_file_notes(struct dump *dump)
{
	size_t len;
	char *text = read_proc(dump->pid, 0, "/auxv", &len);
	struct elf_prpsinfo process = { .pr_pid = dump->pid };

	if (text)
		add_note(&dump->notes, "CORE", NT_AUXV, text, len);
	free(text);
	text = read_proc(dump->pid, 0, "/comm", &len);
	if (text) {
		text[strcspn(text, "\n")] = '\0';
		strncpy(process.pr_fname, text, sizeof(process.pr_fname) - 1);
	}
	free(text);
	add_note(&dump->notes, "CORE", NT_PRPSINFO, &process, sizeof(process));
}

/* As fs/binfmt_elf.c writes NT_FILE: count, page size, triples, then paths. */
static void add_maps_note(struct dump *dump)
{
	size_t i, count = 0, len = 16, names = 0;
	unsigned long *words, *word;
	char *name;

	for (i = 0; i < dump->nr_maps; i++)
		if (dump->map[i].path[0] == '/') {
			count++;
			names += strlen(dump->map[i].path) + 1;
		}
	len += count * 24 + names;
	words = malloc(len);
	if (!words)
		return;
	word = words;
	name = (char *)(word + 2 + 3 * count);
	*word++ = count;
	*word++ = 1;	/* offsets are in bytes */
	for (i = 0; i < dump->nr_maps; i++) {
		if (dump->map[i].path[0] != '/')
			continue;
		*word++ = dump->map[i].start;
		*word++ = dump->map[i].end;
		*word++ = dump->map[i].offset;
		strcpy(name, dump->map[i].path);
		name += strlen(name) + 1;
	}
	add_note(&dump->notes, "CORE", NT_FILE, words, len);
	free(words);
}

static void add_thread(struct dump *dump, const struct thread *thread)
{
	struct elf_prstatus status = { .pr_pid = thread->tid };
	struct user_regs_struct regs;

	if (read_registers(dump->pid, thread, &regs))
		return;
	memcpy(status.pr_reg, &regs, sizeof(regs));
	if (add_note(&dump->notes, "CORE", NT_PRSTATUS, &status, sizeof(status)))
		return;
	keep_stack(dump, regs.rsp, STACK);
}

/* `TID STATE` for each, those included of which there are no registers. */
static void add_states(struct dump *dump, const struct thread *thread, size_t count)
{
	char *text = calloc(count, 32), number[24];
	size_t i;

	if (!text)
		return;
	for (i = 0; i < count; i++) {
		const char state[] = { ' ', thread[i].state, '\n', '\0' };

		strcat(text, decimal(thread[i].tid, number));
		strcat(text, state);
	}
	add_note(&dump->notes, "UKCC", NOTE_THREADS, text, strlen(text));
	free(text);
}

static void report_process(pid_t pid, int port)
{
	static struct thread thread[MOST_THREADS];
	static struct dump dump;
	size_t count, i;

	/* kernel threads have no memory of their own, nor have zombies */
	if (open_dump(&dump, pid))
		return;
	if (!dump.nr_maps) {
		close_dump(&dump);
		return;
	}
	count = find_threads(pid, thread);
	stop(thread, count);
	add_file_notes(&dump);
	add_maps_note(&dump);
	for (i = 0; i < count; i++)
		add_thread(&dump, thread + i);
	add_states(&dump, thread, count);
	keep_vdso(&dump);
	send_dump(&dump, port, "stacks");
	for (i = 0; i < count; i++)
		if (thread[i].stopped)
			ptrace(PTRACE_DETACH, thread[i].tid, 0, 0);
	close_dump(&dump);
}

static int is_of_init(pid_t pid)
{
	return pid == 1 || pid == getpid() || is_dhcp_client(pid) ||
	       is_job_parent(pid);
}

/* Of every process but init's own; then an empty report says `done`. */
void report_stacks(void)
{
	static pid_t pid[4096];
	size_t count, i;
	int port;

	write_text("/proc/self/oom_score_adj", "-1000");
	port = open_reports();
	if (port < 0)
		return;
	count = numbers_in("/proc", pid, sizeof(pid) / sizeof(*pid));
	for (i = 0; i < count; i++)
		if (!is_of_init(pid[i]))
			report_process(pid[i], port);
	begin_report(port, "done", 0);
	close(port);
}
