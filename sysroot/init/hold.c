// SPDX-License-Identifier: GPL-2.0-only
/*
 * Standing still for a snapshot.  `hold` comes by the port of requests: from
 * then on nothing runs but init, which says so and waits.  The machine is
 * saved like that; whoever continues it says the time and gives fresh random
 * bytes, and the application runs again when both are in the kernel.
 *
 * Not by SIGSTOP, which a parent sees and which ends system calls: a process
 * on each CPU leaves no time for others.  Real-time priority would not do,
 * as the kernel's fair server gives others a twentieth of each second; but
 * that server has a deadline (50 ms), and one that is nearer goes before it.
 */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PERIOD		(10 * 1000 * 1000)	/* ns; the fair server has 50 ms */

#ifndef SCHED_DEADLINE
#define SCHED_DEADLINE	6
#endif

static const char throttle[] = "/proc/sys/kernel/sched_rt_runtime_us";

/* Seen by all that keep a CPU busy. */
struct hold {
	int busy;	/* how many do */
	int over;
};

/* Without a limit (throttle) a process may ask for all of a CPU's time. */
static int take_cpu(int cpu)
{
	const struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;	/* ns */
	} attr = {
		.size = sizeof(attr), .policy = SCHED_DEADLINE,
		.runtime = PERIOD, .deadline = PERIOD, .period = PERIOD,
	};
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ||
	       syscall(SYS_sched_setattr, 0, &attr, 0) ? -1 : 0;
}

static void keep_busy(int cpu, struct hold *hold)
{
	if (take_cpu(cpu))
		complain("not all stands still:", "sched_setattr", errno);
	__atomic_add_fetch(&hold->busy, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&hold->over, __ATOMIC_SEQ_CST))
		__builtin_ia32_pause();
	_exit(0);
}

/* One process on each CPU but the first, which is for init itself. */
static int take_other_cpus(struct hold *hold, pid_t *keeper, int cpus)
{
	int cpu, made = 0;

	for (cpu = 1; cpu < cpus; cpu++) {
		keeper[made] = fork();
		if (keeper[made] == 0)
			keep_busy(cpu, hold);
		made += keeper[made] > 0;
	}
	while (__atomic_load_n(&hold->busy, __ATOMIC_SEQ_CST) < made)
		sched_yield();
	return made;
}

/*
 * Reads until the line comes; what else comes is of the machine that was
 * saved, and nobody waits for it any more.
 */
static void await_news(int port, struct host_request *news)
{
	struct lines lines = { .used = 0 };
	char byte;

	do {
		while (read(port, &byte, 1) != 1 || !add_to_line(&lines, byte))
			;
	} while (parse_request(lines.text, news) || news->ask != ASK_RESUMED);
}

static void go_on(const struct host_request *news)
{
	if (clock_settime(CLOCK_REALTIME, &news->time))
		complain("the clock is that of the snapshot:",
			 "CLOCK_REALTIME", errno);
	if (add_entropy(news->seed, SEED_BYTES))
		complain("random numbers are those of the snapshot:",
			 "/dev/urandom", errno);
	/* the host that continues the machine has had nothing of it yet */
	forget_sent();
}

/* Stands still until a host, this one or another, continues the machine. */
void hold_still(int port)
{
	const struct sched_param ordinary = { 0 };
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), keepers, i;
	size_t len;
	char *limit = read_file(throttle, &len);
	pid_t *keeper = calloc(cpus, sizeof(*keeper));
	struct hold *hold = mmap(NULL, sizeof(*hold), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct host_request news;
	cpu_set_t before;

	if (!keeper || hold == MAP_FAILED) {
		complain("no snapshot:", "memory", ENOMEM);
		return;
	}
	sched_getaffinity(0, sizeof(before), &before);
	write_text(throttle, "-1\n");
	keepers = take_other_cpus(hold, keeper, cpus);
	if (take_cpu(0))
		complain("not all stands still:", "sched_setattr", errno);
	pass_outputs();
	report_sent("held");
	await_news(port, &news);
	go_on(&news);
	__atomic_store_n(&hold->over, 1, __ATOMIC_SEQ_CST);
	for (i = 0; i < keepers; i++)
		waitpid(keeper[i], NULL, 0);
	sched_setscheduler(0, SCHED_OTHER, &ordinary);
	sched_setaffinity(0, sizeof(before), &before);
	if (limit)
		write_text(throttle, limit);
	send_report("resumed", "");
	munmap(hold, sizeof(*hold));
	free(keeper);
	free(limit);
}
