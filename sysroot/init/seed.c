// SPDX-License-Identifier: GPL-2.0-only
/*
 * Randomness from the host, for a machine that has neither a random number
 * generator nor a CPU with one: else getrandom() would wait for noise.
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char path[] = "/.uk/seed";

/*
 * The bytes count as entropy, and the generator takes them at once, not when
 * its next turn comes.  0, or -1 with errno.
 */
int add_entropy(const void *bytes, size_t len)
{
	struct rand_pool_info *pool = malloc(sizeof(*pool) + len);
	int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC), ret = -1;

	if (pool && fd >= 0) {
		pool->entropy_count = len * 8;
		pool->buf_size = len;
		memcpy(pool->buf, bytes, len);
		ret = ioctl(fd, RNDADDENTROPY, pool) ||
		      ioctl(fd, RNDRESEEDCRNG) ? -1 : 0;
		explicit_bzero(pool, sizeof(*pool) + len);
	}
	free(pool);
	if (fd >= 0)
		close(fd);
	return ret;
}

/* Credits the seed of the second archive, and leaves nobody a copy of it. */
void seed_random(void)
{
	size_t len;
	char *seed = read_file(path, &len);

	if (!seed)
		return;
	unlink(path);
	if (add_entropy(seed, len))
		complain("the seed is not used:", "/dev/urandom", errno);
	explicit_bzero(seed, len);
	free(seed);
}
