// SPDX-License-Identifier: GPL-2.0-only
/*
 * Randomness from the host, for a machine that has neither a random number
 * generator nor a CPU with one: else getrandom() would wait for noise.
 */
#include "init.h"

#include <fcntl.h>
#include <linux/random.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char path[] = "/.uk/seed";

/* Credits the seed of the second archive, and leaves nobody a copy of it. */
void seed_random(void)
{
	struct rand_pool_info *pool;
	size_t len;
	char *seed = read_file(path, &len);
	int fd;

	if (!seed)
		return;
	unlink(path);
	fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	pool = malloc(sizeof(*pool) + len);
	if (fd >= 0 && pool) {
		pool->entropy_count = len * 8;
		pool->buf_size = len;
		memcpy(pool->buf, seed, len);
		ioctl(fd, RNDADDENTROPY, pool);
		explicit_bzero(pool, sizeof(*pool) + len);
	}
	explicit_bzero(seed, len);
	free(pool);
	free(seed);
	if (fd >= 0)
		close(fd);
}
