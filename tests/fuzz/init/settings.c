// SPDX-License-Identifier: GPL-2.0-only
/*
 * Settings, arguments, variables and the kernel's command line, as init finds
 * them in the archives: any text.
 */
#include "target.h"

#include "config.c"

static void check(const struct settings *settings)
{
	struct ip ip;
	size_t i, j;

	EXPECT(settings->nr_interfaces <= MAX_INTERFACES);
	EXPECT(settings->nr_nameservers <= MAX_NAMESERVERS);
	EXPECT(settings->nr_searches <= MAX_SEARCHES);
	EXPECT(settings->nr_hosts <= MAX_HOSTS);
	EXPECT(settings->nr_limits <= MAX_LIMITS);
	EXPECT(settings->nr_shares <= MAX_MOUNTS);
	for (i = 0; i < settings->nr_shares; i++)
		EXPECT(settings->share[i].path[0] == '/' && settings->share[i].tag);
	for (i = 0; i < settings->nr_interfaces; i++) {
		const struct interface *interface = settings->interface + i;

		EXPECT(interface->nr_addresses <= MAX_ADDRESSES);
		EXPECT(interface->nr_gateways <= 2);
		for (j = 0; j < interface->nr_addresses; j++)
			if (!parse_ip(interface->address[j], &ip))
				EXPECT(ip.bits <= (ip.family == AF_INET6 ? 128 : 32));
	}
}

/* The vector's strings are in the text, up to its last byte, in order. */
static size_t check_vector(char **vector, const char *text, size_t len)
{
	const char *before = text;
	size_t n;

	EXPECT(vector);
	for (n = 0; vector[n]; n++) {
		EXPECT(vector[n] >= before && vector[n] <= text + len);
		before = vector[n];
		EXPECT(vector[n] + strlen(vector[n]) <= text + len);
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *defaults[] = { "PATH=/bin", "HOME=/", "TERM=linux", NULL };
	char *text = text_of(data, len), *more = text_of(data, len);
	char **entries, **env, **words;
	struct settings settings;
	size_t given;

	parse_settings(text, &settings);
	check(&settings);
	free(text);

	entries = split_entries(more, len);
	given = check_vector(entries, more, len);
	env = merge_env(defaults, entries);
	for (len = 0; env[len]; len++)
		;
	EXPECT(len >= 3 && len <= given + 3);
	free(env);
	free(entries);

	len = strlen(more);
	words = words_after_dashes(more);
	check_vector(words, more, len);
	free(words);
	free(more);
	return 0;
}
