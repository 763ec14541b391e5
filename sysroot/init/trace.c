// SPDX-License-Identifier: GPL-2.0-only
/*
 * The application under strace, which the second archive brings along when
 * `ukcc run --trace` asks for it.
 */
#define _GNU_SOURCE
#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char tracer[] = "/.uk/trace/strace";
static const char tracer_words[] = "/.uk/trace/words";
static const char trace_port[] = "ukcc.trace";

int is_traced(void)
{
	return access(tracer, X_OK) == 0;
}

/* strace opens it when it is the user already. */
void give_trace_port(uid_t uid)
{
	char node[PORT_NODE_SIZE];

	if (is_traced() && !find_port(trace_port, node) && chown(node, uid, -1))
		complain("cannot give away", node, errno);
}

static size_t count(char **vector)
{
	size_t n = 0;

	while (vector[n])
		n++;
	return n;
}

static char *join(const char *a, const char *b)
{
	char *text = malloc(strlen(a) + strlen(b) + 1);

	if (text)
		strcat(strcpy(text, a), b);
	return text;
}

/* The value of PATH, which init's own defaults always have. */
static const char *path_of(char **env)
{
	for (; *env; env++)
		if (!strncmp(*env, "PATH=", 5))
			return *env;
	return "PATH=";
}

/*
 * strace takes argv[0] for the file, too: a path, or a name that it looks for
 * in PATH.  So it gets the program's directory for a PATH, and is told to give
 * the program the real one.
 *
 * -DD: the tracer is a grandchild in a process group of its own, so the
 * application has the parent that it has without it (job.c), and its status.
 */
static char **tracer_argv(const char *node, char **given, const char *path,
			  char **argv)
{
	const char * const fixed[] = {
		"strace", "-f", "-DD", "-o", node, "-E", path,
	};
	size_t n = sizeof(fixed) / sizeof(*fixed);
	size_t more = given ? count(given) : 0;
	char **words = calloc(n + more + count(argv) + 1, sizeof(*words));

	if (!words)
		return NULL;
	memcpy(words, fixed, sizeof(fixed));
	if (more)
		memcpy(words + n, given, more * sizeof(*words));
	memcpy(words + n + more, argv, count(argv) * sizeof(*words));
	return words;
}

static int is_found(const char *name, const char *program)
{
	return !strcmp(name, program) ||
	       !strcmp(name, strrchr(program, '/') + 1);
}

/*
 * Becomes strace, which becomes the application; returns if it cannot.
 * `program` is an absolute path.
 */
void launch_traced(const char *program, char **argv, char **env)
{
	char *path = join("PATH=", program), *slash, **words, **given = NULL;
	char *only[] = { path, NULL };
	char node[PORT_NODE_SIZE];
	size_t len;
	char *data = read_file(tracer_words, &len);

	if (find_port(trace_port, node)) {
		complain("nothing is traced: no port", trace_port, errno);
		return;
	}
	if (data)
		given = split_entries(data, len);
	if (!is_found(argv[0], program)) {
		complain("traced, the program cannot have another name than",
			 program, 0);
		argv[0] = (char *)program;
	}
	slash = path ? strrchr(path, '/') : NULL;
	if (!slash)
		return;
	*slash = '\0';
	words = tracer_argv(node, given, path_of(env), argv);
	env = words ? merge_env(env, only) : NULL;
	if (!env)
		return;
	execve(tracer, words, env);
	complain("nothing is traced: cannot run", tracer, errno);
}

static int is_tracer(const char *pid)
{
	char link[64], exe[sizeof(tracer) + 1];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/%.16s/exe", pid);
	len = readlink(link, exe, sizeof(exe));
	return len == sizeof(tracer) - 1 && !memcmp(exe, tracer, len);
}

static void kill_all_but_the_tracer(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);

		if (pid > 1 && !is_tracer(entry->d_name))
			kill(pid, SIGKILL);
	}
	if (proc)
		closedir(proc);
}

/*
 * The machine ends with the application; the last lines of the trace shall
 * be out by then.  strace ends by itself when nobody is left to be traced, so
 * whoever would end with the machine ends now.
 */
void finish_trace(void)
{
	const struct timespec moment = { .tv_nsec = 1000 * 1000 };
	pid_t pid;

	for (;;) {
		kill_all_but_the_tracer();
		pid = waitpid(-1, NULL, WNOHANG);
		if (pid < 0 && errno == ECHILD)
			return;
		if (pid == 0)
			nanosleep(&moment, NULL);
		pass_outputs();
	}
}
