// SPDX-License-Identifier: GPL-2.0-only
/* What the archives and the kernel's command line say, as data. */
#include "init.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The whole file and a NUL behind it, or NULL with errno set.  Files of /proc
 * have no size, so it reads until there is no more.
 */
char *read_file(const char *path, size_t *len)
{
	size_t room = 4096, used = 0;
	char *data, *grown;
	ssize_t got;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	data = malloc(room);
	while (data) {
		got = read(fd, data + used, room - used - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		used += got;
		if (used + 1 < room)
			continue;
		room *= 2;
		grown = realloc(data, room);
		if (!grown)
			free(data);
		data = grown;
	}
	close(fd);
	if (!data)
		return NULL;
	data[used] = '\0';
	*len = used;
	return data;
}

/*
 * Entries each ended by a NUL, as a vector that ends with NULL.  It points
 * into `data`, which must have a NUL at data[len], as read_file() gives.
 */
char **split_entries(char *data, size_t len)
{
	size_t count = 1, n = 0, i;
	char *entry = data, **vector;

	for (i = 0; i < len; i++)
		count += data[i] == '\0';
	vector = calloc(count + 1, sizeof(*vector));
	if (!vector)
		return NULL;
	while (entry < data + len) {
		vector[n++] = entry;
		entry += strlen(entry) + 1;
	}
	return vector;
}

static int is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/*
 * Takes the next word off the text: blanks part words, and double quotes
 * hide blanks, as in the kernel's own next_arg().  Changes the text.
 */
static char *next_word(char **text)
{
	char *from = *text, *word, *to;
	int quoted = 0;

	while (is_blank(*from))
		from++;
	if (!*from)
		return NULL;
	word = from;
	for (to = from; *from && (quoted || !is_blank(*from)); from++) {
		if (*from == '"')
			quoted = !quoted;
		else
			*to++ = *from;
	}
	*text = *from ? from + 1 : from;
	*to = '\0';
	return word;
}

/* The words behind the first `--`, as a vector that ends with NULL. */
char **words_after_dashes(char *cmdline)
{
	char **vector = calloc(strlen(cmdline) + 1, sizeof(*vector));
	size_t n = 0;
	char *word;
	int found = 0;

	if (!vector)
		return NULL;
	while ((word = next_word(&cmdline))) {
		if (found)
			vector[n++] = word;
		else
			found = strcmp(word, "--") == 0;
	}
	return vector;
}

/* `tag:path:ro|rw`; the path may contain colons, the tag does not. */
static int parse_volume(char *value, const char *type,
			struct settings *settings)
{
	struct share *share = &settings->share[settings->nr_shares];
	char *path = strchr(value, ':');
	char *mode = strrchr(value, ':');

	if (settings->nr_shares == MAX_MOUNTS || !path || path == mode)
		return -1;
	*path++ = '\0';
	*mode++ = '\0';
	if (path[0] != '/' || (strcmp(mode, "ro") && strcmp(mode, "rw")))
		return -1;
	share->type = type;
	share->tag = value;
	share->path = path;
	share->readonly = strcmp(mode, "ro") == 0;
	settings->nr_shares++;
	return 0;
}

static int put(const char *value, const char **list, size_t *count, size_t room)
{
	if (*count == room)
		return -1;
	list[(*count)++] = value;
	return 0;
}

static int parse_share(char *value, struct settings *settings)
{
	return parse_volume(value, "9p", settings);
}

static int parse_virtiofs(char *value, struct settings *settings)
{
	return parse_volume(value, "virtiofs", settings);
}

static int parse_disk(char *value, struct settings *settings)
{
	return parse_volume(value, "ext4", settings);
}

static int parse_root(char *value, struct settings *settings)
{
	settings->readonly_root = strcmp(value, "ro") == 0;
	return settings->readonly_root || !strcmp(value, "rw") ? 0 : -1;
}

static int parse_nameserver(char *value, struct settings *settings)
{
	return put(value, settings->nameserver, &settings->nr_nameservers,
		   MAX_NAMESERVERS);
}

static int parse_search(char *value, struct settings *settings)
{
	return put(value, settings->search, &settings->nr_searches,
		   MAX_SEARCHES);
}

static int parse_host(char *value, struct settings *settings)
{
	return put(value, settings->host, &settings->nr_hosts, MAX_HOSTS);
}

/* `interface=MAC`: the lines behind it are about that one. */
static int parse_interface(char *value, struct settings *settings)
{
	if (settings->nr_interfaces == MAX_INTERFACES)
		return -1;
	settings->interface[settings->nr_interfaces++].mac = value;
	return 0;
}

/* The present interface; without a line `interface=`, the first. */
static struct interface *last_interface(struct settings *settings)
{
	if (!settings->nr_interfaces)
		settings->nr_interfaces = 1;
	return settings->interface + settings->nr_interfaces - 1;
}

static int parse_address(char *value, struct settings *settings)
{
	struct interface *interface = last_interface(settings);

	return put(value, interface->address, &interface->nr_addresses,
		   MAX_ADDRESSES);
}

static int parse_gateway(char *value, struct settings *settings)
{
	struct interface *interface = last_interface(settings);

	return put(value, interface->gateway, &interface->nr_gateways, 2);
}

static int parse_tty(char *value, struct settings *settings)
{
	settings->cooked = strcmp(value, "cooked") == 0;
	return settings->cooked || !strcmp(value, "raw") ? 0 : -1;
}

static int parse_stdin(char *value, struct settings *settings)
{
	static const char * const names[] = {
		[INPUT_TTY] = "tty",
		[INPUT_PORT] = "port",
		[INPUT_NULL] = "null",
	};
	enum input input;

	for (input = INPUT_TTY; input <= INPUT_NULL; input++) {
		if (strcmp(value, names[input]))
			continue;
		settings->input = input;
		return 0;
	}
	return -1;
}

static int parse_output(char *value, struct settings *settings)
{
	settings->output_ports = strcmp(value, "port") == 0;
	return settings->output_ports || !strcmp(value, "tty") ? 0 : -1;
}

/* `NAME:RESOURCE:SOFT:HARD`, numbers but the name; the last two: rlim_t. */
static int parse_limit(char *value, struct limit *limit)
{
	char *end, *soft, *hard;

	limit->name = value;
	value = strchr(value, ':');
	if (!value)
		return -1;
	*value++ = '\0';
	limit->resource = strtol(value, &end, 10);
	if (*end != ':' || end == value)
		return -1;
	soft = end + 1;
	limit->soft = strtoul(soft, &end, 10);
	if (*end != ':' || end == soft)
		return -1;
	hard = end + 1;
	limit->hard = strtoul(hard, &end, 10);
	return *end || end == hard ? -1 : 0;
}

static int parse_ulimit(char *value, struct settings *settings)
{
	if (settings->nr_limits == MAX_LIMITS ||
	    parse_limit(value, &settings->limit[settings->nr_limits]))
		return -1;
	settings->nr_limits++;
	return 0;
}

enum kind { TEXT, SMALL_NUMBER, FUNCTION };

static const struct key {
	const char *name;
	enum kind kind;
	size_t offset;
	int (*parse)(char *value, struct settings *settings);
} keys[] = {
	{ "address",	FUNCTION, 0, parse_address },
	{ "columns",	SMALL_NUMBER, offsetof(struct settings, columns), NULL },
	{ "cwd",	TEXT, offsetof(struct settings, cwd), NULL },
	{ "disk",	FUNCTION, 0, parse_disk },
	{ "gateway",	FUNCTION, 0, parse_gateway },
	{ "host",	FUNCTION, 0, parse_host },
	{ "hostname",	TEXT, offsetof(struct settings, hostname), NULL },
	{ "interface",	FUNCTION, 0, parse_interface },
	{ "mount",	FUNCTION, 0, parse_share },
	{ "nameserver",	FUNCTION, 0, parse_nameserver },
	{ "optional",	SMALL_NUMBER, offsetof(struct settings, optional), NULL },
	{ "output",	FUNCTION, 0, parse_output },
	{ "root",	FUNCTION, 0, parse_root },
	{ "rows",	SMALL_NUMBER, offsetof(struct settings, rows), NULL },
	{ "search",	FUNCTION, 0, parse_search },
	{ "stdin",	FUNCTION, 0, parse_stdin },
	{ "term",	TEXT, offsetof(struct settings, term), NULL },
	{ "tty",	FUNCTION, 0, parse_tty },
	{ "ulimit",	FUNCTION, 0, parse_ulimit },
	{ "user",	TEXT, offsetof(struct settings, user), NULL },
	{ "virtiofs",	FUNCTION, 0, parse_virtiofs },
};

static int set_number(const char *value, unsigned short *number)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (!*value || *end || n > UINT16_MAX)
		return -1;
	*number = n;
	return 0;
}

static int parse_line(char *line, struct settings *settings)
{
	char *value = strchr(line, '=');
	const struct key *key;

	if (!value)
		return -1;
	for (key = keys; key < keys + sizeof(keys) / sizeof(*keys); key++) {
		char *field = (char *)settings + key->offset;

		if (strlen(key->name) != (size_t)(value - line) ||
		    memcmp(key->name, line, value - line))
			continue;
		switch (key->kind) {
		case TEXT:
			*(const char **)field = value + 1;
			return 0;
		case SMALL_NUMBER:
			return set_number(value + 1, (unsigned short *)field);
		case FUNCTION:
			return key->parse(value + 1, settings);
		}
	}
	return -1;
}

/*
 * Fills in the settings from lines `key=value`.  The text is changed and must
 * outlive them.  Returns NULL, or the first line that was not understood; the
 * others count all the same, for a machine half set up says more than none.
 */
const char *parse_settings(char *text, struct settings *settings)
{
	const char *bad = NULL;
	char *line, *rest;

	memset(settings, 0, sizeof(*settings));
	for (line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest))
		if (parse_line(line, settings) && !bad)
			bad = line;
	return bad;
}

static int same_name(const char *a, const char *b)
{
	size_t len = strcspn(a, "=");

	return len == strcspn(b, "=") && !memcmp(a, b, len);
}

/* Adds an entry `NAME=value`, or puts it in the place of one of that name. */
static size_t put_env(char **env, size_t n, char *entry)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (same_name(env[i], entry))
			break;
	env[i] = entry;
	return i == n ? n + 1 : n;
}

/* Both vectors in one; what is given wins, and of two the later. */
char **merge_env(char **defaults, char **given)
{
	size_t count = 0, n = 0, i;
	char **env;

	for (i = 0; defaults[i]; i++)
		count++;
	for (i = 0; given && given[i]; i++)
		count++;
	env = calloc(count + 1, sizeof(*env));
	if (!env)
		return NULL;
	for (i = 0; defaults[i]; i++)
		n = put_env(env, n, defaults[i]);
	for (i = 0; given && given[i]; i++)
		n = put_env(env, n, given[i]);
	return env;
}

/*
 * `10.0.2.15/24` or `2001:db8::2/64`; an address alone has all bits.  0, or
 * -1 if it is neither.
 */
int parse_ip(const char *text, struct ip *ip)
{
	size_t len = strcspn(text, "/");
	char host[INET6_ADDRSTRLEN];
	unsigned short bits;

	if (len >= sizeof(host))
		return -1;
	memcpy(host, text, len);
	host[len] = '\0';
	memset(ip, 0, sizeof(*ip));
	ip->family = strchr(host, ':') ? AF_INET6 : AF_INET;
	ip->bits = ip->family == AF_INET6 ? 128 : 32;
	if (text[len]) {
		if (set_number(text + len + 1, &bits) || bits > ip->bits)
			return -1;
		ip->bits = bits;
	}
	return inet_pton(ip->family, host, ip->addr) == 1 ? 0 : -1;
}
