// SPDX-License-Identifier: GPL-2.0-only
/*
 * The time of day.  The kernel takes it from the machine's clock chip, which
 * has whole seconds and rounds down, as QEMU did when it set the chip: up to
 * two seconds late.  A host that knows of this is asked instead; without one
 * the chip's time stays.
 */
#include "init.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#define PATIENCE	10000	/* ms; only a host that was stopped takes so long */
#define MILLION		1000000L
#define BILLION		1000000000L

static long long since_boot(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * BILLION + now.tv_nsec;
}

/* The host said `told` in between: half of what the answer took is a guess. */
static void set(struct timespec told, long long took)
{
	long long nanoseconds = told.tv_nsec + took / 2;

	told.tv_sec += nanoseconds / BILLION;
	told.tv_nsec = nanoseconds % BILLION;
	if (clock_settime(CLOCK_REALTIME, &told))
		complain("the clock is not the host's:", "CLOCK_REALTIME", errno);
}

/* Whatever else the host has to say meanwhile counts as ever. */
void ask_for_time(void)
{
	struct pollfd port = { .fd = watch_requests(), .events = POLLIN };
	long long begin = since_boot(), took = 0;
	struct timespec told;

	if (port.fd < 0 || send_report("clock", ""))
		return;
	while (took < PATIENCE * MILLION && watch_requests() >= 0) {
		if (poll(&port, 1, PATIENCE - took / MILLION) > 0)
			serve_requests();
		took = since_boot() - begin;
		if (time_was_told(&told)) {
			set(told, took);
			return;
		}
	}
	complain("the clock may be two seconds late:", "the host did not tell the time", 0);
}
