// SPDX-License-Identifier: GPL-2.0-only
/* Resource limits: a distribution's, then those that the user set. */
#include "init.h"

#include <errno.h>
#include <sys/resource.h>

/* Soft and hard as on a distribution with systemd; the rest is the kernel's. */
static const struct {
	int resource;
	struct rlimit limit;
} limits[] = {
	/* a soft limit above FD_SETSIZE breaks programs that use select() */
	{ RLIMIT_NOFILE, { 1024, 524288 } },
	{ RLIMIT_NPROC, { RLIM_INFINITY, RLIM_INFINITY } },
	{ RLIMIT_MEMLOCK, { RLIM_INFINITY, RLIM_INFINITY } },
};

/* 0, or -1 after a word on the limit that the kernel refused. */
int set_limits(const struct settings *settings)
{
	const struct limit *given = settings->limit;
	size_t i;

	for (i = 0; i < sizeof(limits) / sizeof(*limits); i++)
		setrlimit(limits[i].resource, &limits[i].limit);
	for (; given < settings->limit + settings->nr_limits; given++) {
		const struct rlimit limit = { given->soft, given->hard };

		if (setrlimit(given->resource, &limit)) {
			complain("cannot set the limit", given->name, errno);
			return -1;
		}
	}
	return 0;
}
