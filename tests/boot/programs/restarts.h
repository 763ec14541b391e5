/*
 * The frame of restarts_*.c: one system call blocks in a process of its own, the victim, while its
 * parent sends it signals, or stops and continues it, and at last lets the call end.
 *
 * signal(7) says which calls go on after a handler with SA_RESTART and which give up, and which
 * give up after a stop signal, for which there is no handler at all.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "cases.h"
#include "process_state.h"

enum how { WITH_RESTART, WITHOUT_RESTART, STOPPED };
enum end { GOES_ON, GIVES_UP };	/* GIVES_UP: EINTR */

/* What victim and parent share. */
struct scene {
	volatile int ready, done, handled;
	volatile long result;
	volatile uint32_t futex;
	int fd[2];	/* of a pipe, a pair of sockets, a queue… */
	int go[2];	/* a pipe: a byte here makes a third process act */
	int id;		/* of a SysV object */
	pid_t victim, third;
	char path[64];
};

struct row {
	const char *name;
	void (*prepare)(struct scene *scene);			/* parent, before the victim is there */
	long (*call)(struct scene *scene, site through);	/* victim: must block */
	void (*release)(struct scene *scene);			/* parent: lets it return */
	enum end ends[3];					/* by `enum how` */
	long wanted;						/* its result then; -1: any but an error */
};

static struct scene *scene;	/* shared; the handler needs it */

static void count_signal(int number)
{
	(void)number;
	scene->handled++;
}

/* Waits until the victim sleeps in its call, or has returned from it; says which. */
static int sleeps_again(pid_t victim)
{
	for (;;) {
		if (scene->done)
			return 0;
		if (scene->ready && state_of(victim) == 'S' && !scene->done)
			return 1;
		sleep_ms(1);
	}
}

static void disturb(pid_t victim, enum how how)
{
	int before = scene->handled;

	if (how == STOPPED) {
		CHECK(!kill(victim, SIGSTOP));
		while (state_of(victim) != 'T')
			sleep_ms(1);
		CHECK(!kill(victim, SIGCONT));
		return;
	}
	CHECK(!kill(victim, SIGUSR1));
	while (scene->handled == before)
		sleep_ms(1);
}

static pid_t start_victim(const struct row *row, site through, enum how how)
{
	struct sigaction action = {
		.sa_handler = count_signal,
		.sa_flags = how == WITH_RESTART ? SA_RESTART : 0,
	};
	pid_t victim = fork();

	CHECK(victim >= 0);
	if (victim)
		return victim;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK(!sigaction(SIGUSR1, &action, NULL));
	scene->ready = 1;
	scene->result = row->call(scene, through);
	scene->done = 1;
	_exit(0);
}

static void run_row(const struct row *row, site through, enum how how)
{
	static const char *const hows[] = { "with SA_RESTART", "without", "stopped" };
	const char *kind = through == raw_call ? "raw" : "redirected";
	int rounds = row->ends[how] == GOES_ON ? 3 : 1;
	pid_t victim;
	long result;

	memset(scene, 0, sizeof(*scene));
	printf("\t%s, %s, %s\n", row->name, kind, hows[how]);
	fflush(stdout);
	if (row->prepare)
		row->prepare(scene);
	victim = start_victim(row, through, how);
	scene->victim = victim;
	CHECK(sleeps_again(victim));
	for (int round = 1; round <= rounds; round++) {
		int asleep;

		disturb(victim, how);
		asleep = sleeps_again(victim);
		if (asleep == (row->ends[how] == GOES_ON))
			continue;
		printf("wrong: %s (%ld) after signal %d\n", asleep ? "went on" : "gave up",
		       scene->result, round);
		kill(victim, SIGKILL);
		exit(1);
	}
	if (row->ends[how] == GOES_ON)
		row->release(scene);
	CHECK(end_of(victim) == 0);
	result = scene->result;
	if (row->ends[how] == GIVES_UP ? result != -EINTR :
	    row->wanted == -1 ? result < 0 : result != row->wanted) {
		printf("wrong: result %ld\n", result);
		exit(1);
	}
	CHECK(how == STOPPED || scene->handled == rounds);
	if (scene->third) {
		kill(scene->third, SIGKILL);
		waitpid(scene->third, NULL, 0);
	}
	for (int i = 0; i < 2; i++) {
		if (scene->fd[i] > 0)
			close(scene->fd[i]);
		if (scene->go[i] > 0)
			close(scene->go[i]);
	}
}

static void run_rows(const struct row *row)
{
	scene = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(scene != MAP_FAILED);
	for (; row->name; row++)
		for (enum how how = WITH_RESTART; how <= STOPPED; how++) {
			run_row(row, gated_call, how);
			run_row(row, raw_call, how);
		}
}

/* The three kinds of signal(7). */
#define RESTARTS	{ GOES_ON, GIVES_UP, GOES_ON }
#define TIMED		{ GIVES_UP, GIVES_UP, GOES_ON }	/* restarts only when no handler ran */
#define NEVER		{ GIVES_UP, GIVES_UP, GIVES_UP }
#define ALWAYS		{ GOES_ON, GOES_ON, GOES_ON }
