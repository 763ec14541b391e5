/*
 * The application of an image of many jobs: runs commands one after the other,
 * each as a process of its own in a session of its own, and tells the host how
 * each ended and what the kernel had to say meanwhile.
 *
 * The arguments, if there are any, are the command of a companion, which is
 * started first and is there as long as the machine is.
 *
 * Standard input: lines `NAME SECONDS UID PROGRAM ARGUMENT…`, words divided by one
 * space; SECONDS is the limit.  Standard error: lines that begin with `UKS`:
 *
 *	UKS start NAME
 *	UKS kmsg NAME TEXT		the kernel's warnings
 *	UKS said NAME TEXT		what the job wrote, its last lines
 *	UKS memory NAME before|after available=… slab=… unreclaimable=… tasks=…
 *	UKS left NAME N			processes that outlived the job; killed
 *	UKS end NAME exit N | signal N | timeout
 */
#define _GNU_SOURCE
#include "watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_WORDS 64
#define PLACE "/tmp/job"	/* a job's working directory */
#define SAID "/run/said"	/* not in PLACE: a job may fill or remove that */
#define COMPANION_SAID "/run/companion"
#define SAID_TAIL 16000		/* bytes: all of a dozen stressors */
#define KILL_MS 10000		/* for killed processes to be gone */
#define SLACK_KB 1024

static pid_t companion;

struct job {
	char *name;
	long limit;		/* seconds */
	uid_t uid;		/* and gid */
	char **argv;
};

static int parse(char *line, struct job *job, char **words)
{
	int nr = 0;
	char *word;

	for (word = strtok(line, " \n"); word && nr < MAX_WORDS - 1; word = strtok(NULL, " \n"))
		words[nr++] = word;
	words[nr] = NULL;
	if (nr < 4)
		return -1;
	job->name = words[0];
	job->limit = strtol(words[1], NULL, 10);
	job->uid = strtoul(words[2], NULL, 10);
	job->argv = words + 3;
	return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	if (place->level > 0 && remove(path))
		umount2(path, MNT_DETACH);
	return 0;
}

static void empty_place(void)
{
	nftw(PLACE, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	mkdir(PLACE, 0777);
	chmod(PLACE, 01777);
}

/* In the child: runs the command in the directory, its output in the file. */
static void become(char **argv, uid_t uid, const char *place, const char *said,
		   const sigset_t *mask)
{
	int null = open("/dev/null", O_RDONLY);
	int out = open(said, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

	setsid();
	sigprocmask(SIG_SETMASK, mask, NULL);
	put_text("/proc/self/oom_score_adj", "0");
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	if (chdir(place) == 0 && setgroups(0, NULL) == 0 && setgid(uid) == 0 && setuid(uid) == 0)
		execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* The last lines of what was said, into a file, by a job or the companion. */
static void tell_said(const char *name, const char *said)
{
	char text[SAID_TAIL + 1];
	int fd = open(said, O_RDONLY | O_CLOEXEC);
	char *line, *rest = text;
	ssize_t len;

	if (fd < 0)
		return;
	if (lseek(fd, -SAID_TAIL, SEEK_END) < 0)
		lseek(fd, 0, SEEK_SET);
	len = read(fd, text, SAID_TAIL);
	close(fd);
	text[len < 0 ? 0 : len] = '\0';
	while ((line = strsep(&rest, "\n")))
		if (*line)
			tell("said %s %s", name, line);
}

/* Reaps whatever ended; tells whether `wanted` was among it, and how it ended. */
static int reap(pid_t wanted, int *status)
{
	int one, found = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &one, WNOHANG)) > 0) {
		if (pid == companion) {
			tell_said("companion", COMPANION_SAID);
			tell("broken the companion ended, wait status %#x", one);
			exit(125);
		}
		if (pid == wanted) {
			*status = one;
			found = 1;
		}
	}
	return found;
}

static void wait_a_moment(long ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigtimedwait(&child, NULL, &time);
}

/*
 * Counts the processes that are neither init, nor this one, nor the one that init
 * has between, nor the companion,
 * nor threads of the kernel; sends them a signal, if it is not 0.
 */
static int others(int sig)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int nr = 0;

	while (proc && (entry = readdir(proc))) {
		char path[300], byte;
		pid_t pid = strtol(entry->d_name, NULL, 10);
		int fd;

		if (pid <= 1 || pid == getpid() || pid == getppid() || pid == companion)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		/* kernel threads and zombies have an empty one */
		if (read(fd, &byte, 1) > 0) {
			nr++;
			if (sig)
				kill(pid, sig);
		}
		close(fd);
	}
	if (proc)
		closedir(proc);
	return nr;
}

/* Returns -1 when some would not go. */
static int kill_others(const char *name)
{
	long end = now_ms() + KILL_MS;
	int left = others(0), status;

	if (left)
		tell("left %s %d", name, left);
	while (left && now_ms() < end) {
		others(SIGKILL);
		wait_a_moment(50);
		reap(-1, &status);
		left = others(0);
	}
	reap(-1, &status);
	return left ? -1 : 0;
}

static void tell_end(const char *name, int ended, int status)
{
	if (!ended)
		tell("end %s timeout", name);
	else if (WIFSIGNALED(status))
		tell("end %s signal %d", name, WTERMSIG(status));
	else
		tell("end %s exit %d", name, WEXITSTATUS(status));
}

static void run(const struct job *job, const sigset_t *mask)
{
	struct memory before, after;
	int status = 0, ended, stuck;
	long end;
	pid_t pid;

	empty_place();
	before = measure();
	tell("start %s", job->name);
	tell_memory(job->name, "before", &before);
	end = now_ms() + job->limit * 1000;
	pid = fork();
	if (pid == 0)
		become(job->argv, job->uid, PLACE, SAID, mask);
	do {
		wait_a_moment(500);
		ended = reap(pid, &status);
		tell_kernel_log(job->name);
	} while (!ended && now_ms() < end);
	stuck = kill_others(job->name);
	empty_place();
	tell_said(job->name, SAID);
	unlink(SAID);
	after = measure_settled(before.available - SLACK_KB);
	tell_kernel_log(job->name);
	tell_memory(job->name, "after", &after);
	tell_end(job->name, ended, status);
	if (stuck) {
		tell("broken processes of %s cannot be killed", job->name);
		exit(125);
	}
}

static void start_companion(char **argv, const sigset_t *mask)
{
	companion = fork();
	if (companion == 0)
		become(argv, 0, "/run", COMPANION_SAID, mask);
}

int main(int argc, char **argv)
{
	char line[4096], *words[MAX_WORDS];
	sigset_t child, mask;
	struct job job;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	put_text("/proc/self/oom_score_adj", "-1000");
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &mask);
	watch_kernel();
	if (argc > 1)
		start_companion(argv + 1, &mask);
	while (fgets(line, sizeof(line), stdin)) {
		if (parse(line, &job, words)) {
			tell("broken no job: %s", line);
			return 2;
		}
		run(&job, &mask);
	}
	tell("done");
	return 0;
}
