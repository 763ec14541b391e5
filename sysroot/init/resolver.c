// SPDX-License-Identifier: GPL-2.0-only
/* What getaddrinfo() reads: resolv.conf, and lines of hosts. */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A line: the key, then all words; returns its end. */
static char *put_line(char *at, const char *key, const char *const *word,
		      size_t n)
{
	size_t i;

	at = stpcpy(at, key);
	for (i = 0; i < n; i++)
		at = stpcpy(stpcpy(at, " "), word[i]);
	return stpcpy(at, "\n");
}

/* All of resolv.conf, in memory of its own; NULL if there is none. */
static char *resolv_conf(const char *const *domain, size_t nr_domains,
			 const struct names *names)
{
	size_t size = sizeof("search\n"), i;
	const char *server;
	char *text, *at;

	for (i = 0; i < nr_domains; i++)
		size += sizeof(" ") + strlen(domain[i]);
	size += names->nr_servers * (sizeof("nameserver ") + SERVER_SIZE);
	at = text = malloc(size);
	if (!text)
		return NULL;
	*text = '\0';
	if (nr_domains)
		at = put_line(at, "search", domain, nr_domains);
	for (i = 0; i < names->nr_servers; i++) {
		server = names->server[i];
		at = put_line(at, "nameserver", &server, 1);
	}
	return text;
}

/* Without doubles, as long as there is room. */
void add_server(struct names *names, const char *server)
{
	size_t i;

	for (i = 0; i < names->nr_servers; i++)
		if (!strcmp(names->server[i], server))
			return;
	if (i < MAX_NAMESERVERS)
		snprintf(names->server[names->nr_servers++], SERVER_SIZE, "%s", server);
}

static int says_already(const char *path, const char *text)
{
	size_t len;
	char *old = read_file(path, &len);
	int same = old && !strcmp(old, text);

	free(old);
	return same;
}

/*
 * Writes the file, if there is anything to say that it does not say already;
 * what was given comes before what was learned.  It changes as a whole, as a
 * program may be reading it.
 */
void write_resolv_conf(const char *path, const struct settings *settings,
		       const struct names *learned)
{
	int given = settings->nr_searches > 0;
	struct names names = { .nr_servers = 0 };
	char *text, fresh[64];
	size_t i;

	for (i = 0; i < settings->nr_nameservers; i++)
		add_server(&names, settings->nameserver[i]);
	for (i = 0; i < learned->nr_servers; i++)
		add_server(&names, learned->server[i]);
	text = resolv_conf(given ? settings->search : learned->domain,
			   given ? settings->nr_searches : learned->nr_domains,
			   &names);
	if (text && *text && !says_already(path, text)) {
		snprintf(fresh, sizeof(fresh), "%s.new", path);
		write_text(fresh, text);
		if (rename(fresh, path))
			complain("cannot write", path, errno);
	}
	free(text);
}

/* The image's own file may lack the end of its last line. */
static int lacks_end(const char *path)
{
	size_t len;
	char *text = read_file(path, &len);
	int lacks = text && len && text[len - 1] != '\n';

	free(text);
	return lacks;
}

static int add_text(int fd, const char *text)
{
	size_t len = strlen(text);

	return write(fd, text, len) == (ssize_t)len ? 0 : -1;
}

/* Adds `host=ADDRESS NAME` lines behind what /etc/hosts has. */
void add_hosts(const struct settings *settings)
{
	static const char path[] = "/etc/hosts";
	int fd, wrong;
	size_t i;

	if (!settings->nr_hosts)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	wrong = fd < 0 || (lacks_end(path) && add_text(fd, "\n"));
	for (i = 0; !wrong && i < settings->nr_hosts; i++)
		wrong = add_text(fd, settings->host[i]) || add_text(fd, "\n");
	if (wrong)
		complain("cannot write", path, errno);
	if (fd >= 0)
		close(fd);
}
