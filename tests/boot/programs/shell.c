/* A shell and the distribution's own programs, started by system(), popen() and posix_spawn(). */
#define _GNU_SOURCE
#include "cases.h"

#include <fcntl.h>
#include <spawn.h>

extern char **environ;

/* The first line that a command says, without its end; checks the command's status. */
static const char *line_of(const char *command, int status)
{
	static char line[256];
	FILE *from = popen(command, "r");
	int ended;

	CHECK(from);
	memset(line, 0, sizeof(line));
	if (fgets(line, sizeof(line), from))
		line[strcspn(line, "\n")] = 0;
	ended = pclose(from);
	CHECK(WIFEXITED(ended) && WEXITSTATUS(ended) == status);
	return line;
}

static void statuses(void)
{
	CHECK(system(NULL));
	CHECK(WEXITSTATUS(system("exit 7")) == 7);
	CHECK(WTERMSIG(system("kill -SEGV $$")) == SIGSEGV);
	CHECK(WEXITSTATUS(system("no-such-program 2>/dev/null")) == 127);
	CHECK(!system("test \"$(echo a b | tr a-z A-Z)\" = 'A B'"));
}

static void pipelines(void)
{
	CHECK(!strcmp(line_of("seq 1 2000 | sort -rn | head -n 1", 0), "2000"));
	CHECK(!strcmp(line_of("seq 1 50000 | wc -l", 0), "50000"));
	CHECK(!strcmp(line_of("cat /proc/self/status | grep -c ^Name:", 0), "1"));
	CHECK(!strcmp(line_of("i=0; while [ $i -lt 300 ]; do i=$((i+1)); (exit 3); done; echo $i $?",
			      0), "300 3"));
	CHECK(!strcmp(line_of("x=$(for i in 1 2 3; do echo $i & done; wait); echo $x | wc -w; exit 4",
			      4), "3"));
	CHECK(!strcmp(line_of("trap 'echo caught; exit 5' TERM; kill -TERM $$; sleep 100", 5),
		      "caught"));
}

/* The reader leaves early: SIGPIPE ends the writer. */
static void broken_pipe(void)
{
	CHECK(!strcmp(line_of("(seq 1 1000000; echo $? >&2) 2>/dev/null | head -n 1", 0), "1"));
	CHECK(!strcmp(line_of("(yes; kill -l $? >/tmp/ended) | head -n 1", 0), "y"));
	CHECK(!strcmp(line_of("cat /tmp/ended; rm /tmp/ended", 0), "PIPE"));
}

static void written_to(void)
{
	FILE *to = popen("sort -n >/tmp/sorted", "w");

	CHECK(to);
	for (int i = 999; i >= 0; i--)
		CHECK(fprintf(to, "%d\n", i) > 0);
	CHECK(pclose(to) == 0);
	CHECK(!strcmp(line_of("sed -n 500p /tmp/sorted; rm /tmp/sorted", 0), "499"));
}

static void spawned(void)
{
	char *words[] = { "sh", "-c", "read word; echo got $word; exit 6", NULL };
	posix_spawn_file_actions_t actions;
	int to[2], from[2];
	char text[32] = "";
	pid_t child;

	CHECK(!pipe2(to, O_CLOEXEC) && !pipe2(from, O_CLOEXEC));
	posix_spawn_file_actions_init(&actions);
	CHECK(!posix_spawn_file_actions_adddup2(&actions, to[0], 0));
	CHECK(!posix_spawn_file_actions_adddup2(&actions, from[1], 1));
	CHECK(!posix_spawnp(&child, "sh", &actions, NULL, words, environ));
	CHECK(write(to[1], "it\n", 3) == 3);
	CHECK(end_of(child) == 6);
	CHECK(read(from[0], text, sizeof(text)) == 7 && !strcmp(text, "got it\n"));
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		CASE(statuses), CASE(pipelines), CASE(broken_pipe), CASE(written_to), CASE(spawned),
		{ 0 },
	};

	return run_cases(cases, argc, argv);
}
