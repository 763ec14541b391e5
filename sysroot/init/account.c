// SPDX-License-Identifier: GPL-2.0-only
/*
 * Users and groups by the image's /etc/passwd and /etc/group, read here: the
 * C library's own functions would bring all its name services along (0.16 MB).
 */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MAX_FIELDS	7	/* passwd(5) */

/* The next line's fields, parted by colons; how many, or 0 at the end. */
static size_t next_fields(char **text, char *field[MAX_FIELDS])
{
	char *line = strsep(text, "\n");
	size_t n = 0;

	if (!line)
		return 0;
	while (line && n < MAX_FIELDS)
		field[n++] = strsep(&line, ":");
	return n;
}

/* A number that is an id; the largest means "leave it" to the kernel. */
static int parse_id(const char *text, unsigned int *id)
{
	unsigned long n;
	char *end;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || n >= (unsigned int)-1)
		return -1;
	*id = n;
	return 0;
}

/* Fills in the account whose name, or number, that is; 0, or -1. */
static int find_user(const char *user, struct account *account)
{
	unsigned int wanted, uid, gid;
	int numeric = parse_id(user, &wanted) == 0;
	char *field[MAX_FIELDS];
	size_t len, n;
	char *text = read_file("/etc/passwd", &len);

	while (text && (n = next_fields(&text, field))) {
		if (n < MAX_FIELDS || parse_id(field[2], &uid) ||
		    parse_id(field[3], &gid))
			continue;
		if (strcmp(field[0], user) && !(numeric && uid == wanted))
			continue;
		account->name = field[0];
		account->home = field[5];
		account->uid = uid;
		account->gid = gid;
		return 0;
	}
	if (!numeric)
		return -1;
	account->uid = wanted;
	account->gid = wanted;
	return 0;
}

static int is_member(char *list, const char *name)
{
	char *member;

	while ((member = strsep(&list, ",")))
		if (!strcmp(member, name))
			return 1;
	return 0;
}

static int find_group(const char *group, gid_t *found)
{
	char *field[MAX_FIELDS];
	unsigned int gid;
	size_t len, n;
	char *text = read_file("/etc/group", &len);

	while (text && (n = next_fields(&text, field))) {
		if (n < 3 || strcmp(field[0], group) ||
		    parse_id(field[2], &gid))
			continue;
		*found = gid;
		return 0;
	}
	if (parse_id(group, &gid))
		return -1;
	*found = gid;
	return 0;
}

/* The groups that name the user, as initgroups(3) collects them. */
static void find_groups(struct account *account)
{
	char *field[MAX_FIELDS];
	unsigned int gid;
	size_t len, n;
	char *text = read_file("/etc/group", &len);

	while (text && (n = next_fields(&text, field))) {
		if (n < 4 || parse_id(field[2], &gid) ||
		    gid == account->gid || !is_member(field[3], account->name))
			continue;
		if (account->nr_groups < MAX_GROUPS)
			account->group[account->nr_groups++] = gid;
	}
}

/*
 * `NAME|UID[:NAME|GID]`; a given group is the only one.  0, or -1 after a
 * word on what is not known.
 */
int find_account(const char *text, struct account *account)
{
	char *user = strdup(text), *group;

	memset(account, 0, sizeof(*account));
	account->home = "/";
	if (!user)
		return -1;
	group = strchr(user, ':');
	if (group)
		*group++ = '\0';
	if (find_user(user, account)) {
		complain("no such user in the image's /etc/passwd:", user, 0);
		return -1;
	}
	account->group[account->nr_groups++] = account->gid;
	if (group) {
		if (find_group(group, &account->gid)) {
			complain("no such group in the image's /etc/group:",
				 group, 0);
			return -1;
		}
		account->group[0] = account->gid;
	} else if (account->name) {
		find_groups(account);
	}
	return 0;
}

/* The user's home, as login(1) finds it, or `/`; `user` as for find_account(). */
const char *home_of(const char *user)
{
	struct account account = { .home = "/" };
	char *copy = strdup(user);

	if (copy) {
		copy[strcspn(copy, ":")] = '\0';
		find_user(copy, &account);
	}
	return account.home;
}

/*
 * The standard streams are the user's, who may open them again by their names
 * (/dev/stdout), as after a login.
 */
static void give_streams(const struct account *account)
{
	struct stat status;
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fstat(fd, &status) || (S_ISCHR(status.st_mode) &&
					   status.st_rdev == makedev(1, 3)))
			continue;	/* /dev/null is everybody's */
		if (fchown(fd, account->uid, -1))
			continue;	/* a port that is nobody's */
	}
}

/* Gives root's rights up, for good; 0, or -1 with errno set. */
int become(const struct account *account)
{
	give_streams(account);
	give_trace_port(account->uid);
	/* by number: in a C library they are made for all threads, by a function pointer */
	if (syscall(SYS_setgroups, account->nr_groups, account->group) ||
	    syscall(SYS_setgid, account->gid))
		return -1;
	return syscall(SYS_setuid, account->uid);
}
