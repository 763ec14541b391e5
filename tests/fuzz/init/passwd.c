// SPDX-License-Identifier: GPL-2.0-only
/*
 * Users and groups by the image's own files.  The input: passwd, group and the
 * user that is asked for, parted by NULs.
 */
#define strdup fuzz_strdup

#include "target.h"

#include "account.c"

#define MOST_OWNED	16

/* What init leaves behind, since it is done once. */
static void *owned[MOST_OWNED];
static size_t nr_owned;

static const uint8_t *part[3];
static size_t part_size[3];

static void *own(void *data)
{
	EXPECT(nr_owned < MOST_OWNED);
	owned[nr_owned++] = data;
	return data;
}

char *fuzz_strdup(const char *text)
{
	return own(text_of((const uint8_t *)text, strlen(text)));
}

char *read_file(const char *path, size_t *len)
{
	int which = !strcmp(path, "/etc/group");

	EXPECT(which || !strcmp(path, "/etc/passwd"));
	*len = part_size[which];
	return own(text_of(part[which], part_size[which]));
}

void complain(const char *what, const char *which, int error)
{
	EXPECT(what && which && !error);
}

void give_trace_port(uid_t uid)
{
	(void)uid;
}

static void split(const uint8_t *data, size_t len)
{
	int i;

	for (i = 0; i < 3; i++) {
		const uint8_t *end = len ? memchr(data, '\0', len) : NULL;

		part[i] = data;
		part_size[i] = end ? (size_t)(end - data) : len;
		len -= part_size[i] + (end ? 1 : 0);
		data += part_size[i] + (end ? 1 : 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct account account;
	char *user;

	split(data, len);
	user = own(text_of(part[2], part_size[2]));
	if (!find_account(user, &account)) {
		EXPECT(account.nr_groups >= 1 && account.nr_groups <= MAX_GROUPS);
		EXPECT(account.uid != (uid_t)-1 && account.gid != (gid_t)-1);
		EXPECT(account.home);
	}
	EXPECT(home_of(user));
	while (nr_owned)
		free(owned[--nr_owned]);
	return 0;
}
