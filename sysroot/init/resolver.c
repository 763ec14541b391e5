// SPDX-License-Identifier: GPL-2.0-only
/* What getaddrinfo() reads: resolv.conf, and lines of hosts. */
#define _GNU_SOURCE
#include "network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add_search(FILE *out, const struct settings *settings,
		       const struct lease *const *leases, size_t nr_leases)
{
	size_t i, n = settings->nr_searches;

	for (i = 0; i < n; i++)
		fprintf(out, "%s %s", i ? "" : "search", settings->search[i]);
	for (i = 0; i < nr_leases && !settings->nr_searches; i++)
		if (*leases[i]->domain)
			fprintf(out, "%s %s", n++ ? "" : "search", leases[i]->domain);
	if (n)
		fputs("\n", out);
}

/* Those that were given, then those of the leases, without doubles. */
static size_t name_servers(const struct settings *settings,
			   const struct lease *const *leases, size_t nr_leases,
			   char server[MAX_NAMESERVERS][INET6_ADDRSTRLEN])
{
	size_t n = 0, i, j, k;

	for (i = 0; i < settings->nr_nameservers; i++)
		snprintf(server[n++], INET6_ADDRSTRLEN, "%s", settings->nameserver[i]);
	for (i = 0; i < nr_leases; i++) {
		for (j = 0; j < leases[i]->nr_nameservers; j++) {
			char text[INET6_ADDRSTRLEN];

			inet_ntop(AF_INET, leases[i]->nameserver + j, text, sizeof(text));
			for (k = 0; k < n && strcmp(server[k], text); k++)
				;
			if (k == n && n < MAX_NAMESERVERS)
				strcpy(server[n++], text);
		}
	}
	return n;
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
 * Writes the file, if there is anything to say that it does not say already.
 * It changes as a whole, as a program may be reading it.
 */
void write_resolv_conf(const char *path, const struct settings *settings,
		       const struct lease *const *leases, size_t nr_leases)
{
	char server[MAX_NAMESERVERS][INET6_ADDRSTRLEN], fresh[64];
	char *text = NULL;
	size_t len = 0, i, n;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	add_search(out, settings, leases, nr_leases);
	n = name_servers(settings, leases, nr_leases, server);
	for (i = 0; i < n; i++)
		fprintf(out, "nameserver %s\n", server[i]);
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
