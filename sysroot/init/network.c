// SPDX-License-Identifier: GPL-2.0-only
/* Interfaces by ioctl, as ifconfig and route did: no netlink, no helper. */
#include "init.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr ip_address(struct in_addr addr)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = addr };
	struct sockaddr any;

	memcpy(&any, &in, sizeof(any));
	return any;
}

static int set_up(int fd, const char *name)
{
	struct ifreq request = { 0 };

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCGIFFLAGS, &request))
		return -1;
	request.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &request);
}

static int set_address(int fd, const char *name, struct in_addr addr,
		       struct in_addr mask)
{
	struct ifreq request = { 0 };

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	request.ifr_addr = ip_address(addr);
	if (ioctl(fd, SIOCSIFADDR, &request))
		return -1;
	request.ifr_netmask = ip_address(mask);
	return ioctl(fd, SIOCSIFNETMASK, &request);
}

static int set_default_route(int fd, struct in_addr gateway)
{
	const struct in_addr any = { .s_addr = INADDR_ANY };
	struct rtentry route = {
		.rt_dst = ip_address(any),
		.rt_genmask = ip_address(any),
		.rt_gateway = ip_address(gateway),
		.rt_flags = RTF_UP | RTF_GATEWAY,
	};

	return ioctl(fd, SIOCADDRT, &route);
}

static void set_up_ethernet(int fd, const struct settings *settings)
{
	static const char name[] = "eth0";
	struct in_addr addr, mask, gateway;

	if (parse_cidr(settings->address, &addr, &mask)) {
		complain("no address in CIDR form:", settings->address, 0);
		return;
	}
	if (set_address(fd, name, addr, mask) || set_up(fd, name)) {
		complain("cannot configure", name, errno);
		return;
	}
	if (!settings->gateway)
		return;
	if (inet_pton(AF_INET, settings->gateway, &gateway) != 1)
		complain("no address of a gateway:", settings->gateway, 0);
	else if (set_default_route(fd, gateway))
		complain("cannot route by", settings->gateway, errno);
}

/*
 * Loopback always; the first Ethernet when it has an address.  For `dhcp` the
 * kernel has asked before PID 1 began (`ip=dhcp` on its command line).
 */
void bring_up_network(const struct settings *settings)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	/* a kernel without a network is no fault */
	if (fd < 0)
		return;
	if (set_up(fd, "lo") && errno != ENODEV)
		complain("cannot configure", "lo", errno);
	if (settings->address && strcmp(settings->address, "dhcp"))
		set_up_ethernet(fd, settings);
	close(fd);
}
