// SPDX-License-Identifier: GPL-2.0-only
/* What getaddrinfo() reads: resolv.conf, and lines of hosts. */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add_search(FILE *out, const struct settings *settings,
		       const struct names *learned)
{
	const char *const *domain = settings->search;
	size_t i, n = settings->nr_searches;

	if (!n) {
		domain = learned->domain;
		n = learned->nr_domains;
	}
	for (i = 0; i < n; i++)
		fprintf(out, "%s %s", i ? "" : "search", domain[i]);
	if (n)
		fputs("\n", out);
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
	struct names names = { .nr_servers = 0 };
	char *text = NULL, fresh[64];
	size_t len = 0, i;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	add_search(out, settings, learned);
	for (i = 0; i < settings->nr_nameservers; i++)
		add_server(&names, settings->nameserver[i]);
	for (i = 0; i < learned->nr_servers; i++)
		add_server(&names, learned->server[i]);
	for (i = 0; i < names.nr_servers; i++)
		fprintf(out, "nameserver %s\n", names.server[i]);
	fclose(out);
	if (text && len && !says_already(path, text)) {
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

/* Adds `host=ADDRESS NAME` lines behind what /etc/hosts has. */
void add_hosts(const struct settings *settings)
{
	static const char path[] = "/etc/hosts";
	FILE *hosts;
	size_t i;

	if (!settings->nr_hosts)
		return;
	hosts = fopen(path, "ae");
	if (hosts && lacks_end(path))
		fputs("\n", hosts);
	for (i = 0; hosts && i < settings->nr_hosts; i++)
		fprintf(hosts, "%s\n", settings->host[i]);
	if (!hosts || fclose(hosts))
		complain("cannot write", path, errno);
}
