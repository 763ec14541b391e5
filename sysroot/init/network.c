// SPDX-License-Identifier: GPL-2.0-only
/* Interfaces as the settings want them; what is leased is dhcp.c's. */
#include "network.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char interfaces[] = "/sys/class/net";

#define PATIENCE	200	/* of 50 ms, for a router to announce itself */

/* /sys/class/net/NAME/address, without the line's end. */
static int has_mac(const char *name, const char *mac)
{
	char path[sizeof(interfaces) + IF_NAMESIZE + sizeof("/address")];
	size_t len;
	char *text;
	int same;

	snprintf(path, sizeof(path), "%s/%.*s/address", interfaces,
		 IF_NAMESIZE, name);
	text = read_file(path, &len);
	if (!text)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	same = strcmp(text, mac) == 0;
	free(text);
	return same;
}

static void find_name(const char *mac, char name[IF_NAMESIZE])
{
	DIR *dir = opendir(interfaces);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || !has_mac(entry->d_name, mac))
			continue;
		snprintf(name, IF_NAMESIZE, "%.*s", IF_NAMESIZE - 1, entry->d_name);
		break;
	}
	if (dir)
		closedir(dir);
}

/* By a socket of IPv4: one of AF_UNIX, by which C libraries ask, may not be there. */
static int ask_interface(unsigned long request, struct ifreq *ask)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -1;
	error = ioctl(fd, request, ask);
	close(fd);
	return error;
}

static int interface_index(const char *name)
{
	struct ifreq ask = { .ifr_ifindex = 0 };

	strncpy(ask.ifr_name, name, sizeof(ask.ifr_name) - 1);
	return ask_interface(SIOCGIFINDEX, &ask) ? 0 : ask.ifr_ifindex;
}

int interface_name(int index, char name[IF_NAMESIZE])
{
	struct ifreq ask = { .ifr_ifindex = index };

	if (ask_interface(SIOCGIFNAME, &ask))
		return -1;
	memcpy(name, ask.ifr_name, IF_NAMESIZE);
	return 0;
}

/* By its Ethernet address, since not every machine numbers them in order. */
int find_interface(const struct interface *interface, char name[IF_NAMESIZE])
{
	strcpy(name, "eth0");
	if (interface->mac) {
		*name = '\0';
		find_name(interface->mac, name);
	}
	return *name ? interface_index(name) : 0;
}

static int is_word(const char *address)
{
	return !strcmp(address, "dhcp") || !strcmp(address, "slaac");
}

static void configure(const struct interface *interface, unsigned int order)
{
	char name[IF_NAMESIZE];
	int index = find_interface(interface, name);
	struct ip ip;
	size_t i;

	if (!index || link_up(index)) {
		complain("cannot configure the interface",
			 interface->mac ? interface->mac : "eth0", errno);
		return;
	}
	for (i = 0; i < interface->nr_addresses; i++) {
		const char *address = interface->address[i];

		if (is_word(address))
			continue;
		if (parse_ip(address, &ip))
			complain("no address in CIDR form:", address, 0);
		else if (add_address(index, &ip))
			complain("cannot configure the address", address, errno);
	}
	for (i = 0; i < interface->nr_gateways; i++) {
		if (parse_ip(interface->gateway[i], &ip))
			complain("no address of a gateway:", interface->gateway[i], 0);
		else if (add_default_route(index, &ip, order))
			complain("cannot route by", interface->gateway[i], errno);
	}
}

/*
 * Is this line of /proc/net/if_inet6 an IPv6 address of the interface that
 * others may use?  Its words: address, index, bits, scope, flags, name.  The
 * kernel makes an address when a router has announced a prefix, and a second
 * later has made sure that nobody else has it.
 */
static int is_usable(char *line, const char *name)
{
	enum { SCOPE = 3, FLAGS = 4, NAME = 5, LINK = 0x20, TENTATIVE = 0x40 };
	char *word[6], *rest;
	size_t i;

	for (i = 0; i < 6; i++) {
		word[i] = strtok_r(i ? NULL : line, " ", &rest);
		if (!word[i])
			return 0;
	}
	return !strcmp(word[NAME], name) &&
	       strtoul(word[SCOPE], NULL, 16) != LINK &&
	       !(strtoul(word[FLAGS], NULL, 16) & TENTATIVE);
}

static int has_usable_address(const char *name)
{
	char *text, *line, *rest;
	size_t len;
	int found = 0;

	text = read_file("/proc/net/if_inet6", &len);
	if (!text)
		return 0;
	for (line = strtok_r(text, "\n", &rest); line && !found;
	     line = strtok_r(NULL, "\n", &rest))
		found = is_usable(line, name);
	free(text);
	return found;
}

static void wait_for_router(const struct interface *interface)
{
	const struct timespec a_while = { .tv_nsec = 50 * 1000 * 1000 };
	char name[IF_NAMESIZE];
	int tries = PATIENCE;

	if (!find_interface(interface, name))
		return;
	while (!has_usable_address(name) && tries--)
		nanosleep(&a_while, NULL);
	if (tries < 0)
		complain("no router has announced an IPv6 network on", name, 0);
}

/*
 * Loopback always; each Ethernet as the settings have it.  Returns when the
 * addresses are there which no server has to give.
 */
void bring_up_network(const struct settings *settings)
{
	int loopback = interface_index("lo");
	size_t i;

	/* a kernel without a network is no fault */
	if (loopback && link_up(loopback))
		complain("cannot configure", "lo", errno);
	watch_routers();
	for (i = 0; i < settings->nr_interfaces; i++)
		configure(settings->interface + i, i);
}

/* Returns when the interfaces that are to wait for a router have addresses. */
void wait_for_routers(const struct settings *settings)
{
	const struct interface *interface = settings->interface;
	size_t i, j;

	for (i = 0; i < settings->nr_interfaces; i++, interface++)
		for (j = 0; j < interface->nr_addresses; j++)
			if (!strcmp(interface->address[j], "slaac"))
				wait_for_router(interface);
}
