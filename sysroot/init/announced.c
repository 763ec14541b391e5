// SPDX-License-Identifier: GPL-2.0-only
/*
 * Name servers that routers announce with an IPv6 network (RFC 8106).  The
 * kernel takes the network itself, and passes this option on by netlink.
 */
#include "dhcp.h"

#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUTER_ADVERTISEMENT = 134, OPTION_SERVERS = 25, UNIT = 8 };

/* What every server option begins with; its addresses follow. */
struct server_option {
	uint8_t type;
	uint8_t len;			/* in units, this one included */
	uint16_t reserved;
	uint32_t lifetime;		/* seconds; 0: not any more */
};

static int news = -1;

/* To be called before an interface is up, so that nothing is missed. */
void watch_routers(void)
{
	const struct sockaddr_nl us = {
		.nl_family = AF_NETLINK,
		.nl_groups = 1 << (RTNLGRP_ND_USEROPT - 1),
	};

	news = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
		      NETLINK_ROUTE);
	if (news >= 0 && bind(news, (const struct sockaddr *)&us, sizeof(us))) {
		close(news);
		news = -1;
	}
}

int router_news(void)
{
	return news;
}

/*
 * The servers of one option; 0, or -1 if it is not one.  Those that are not
 * there any more are none.
 */
int parse_announced(const uint8_t *data, size_t len, struct announced *announced)
{
	struct server_option option;
	size_t count;

	if (len < sizeof(option))
		return -1;
	memcpy(&option, data, sizeof(option));
	if (option.type != OPTION_SERVERS || option.len < 3 ||
	    (size_t)option.len * UNIT > len)
		return -1;
	count = (option.len - 1) * UNIT / sizeof(struct in6_addr);
	announced->count = count < MAX_NAMESERVERS ? count : MAX_NAMESERVERS;
	memcpy(announced->server, data + sizeof(option),
	       announced->count * sizeof(struct in6_addr));
	if (!option.lifetime)
		announced->count = 0;
	return 0;
}

/* Fills in the next announcement, and the interface it came by; or -1. */
int take_announcement(struct announced *announced, int *index)
{
	struct {
		struct nlmsghdr head;
		struct nduseroptmsg message;
		uint8_t options[512];
	} data;
	struct sockaddr_nl from;
	socklen_t size = sizeof(from);
	ssize_t got = recvfrom(news, &data, sizeof(data), 0,
			       (struct sockaddr *)&from, &size);
	size_t len;

	if (got < 0)
		return -1;
	/* what does not come from the kernel, or is something else, is empty */
	announced->count = 0;
	*index = 0;
	if ((size_t)got < sizeof(data.head) + sizeof(data.message) ||
	    from.nl_pid || data.head.nlmsg_type != RTM_NEWNDUSEROPT ||
	    data.message.nduseropt_icmp_type != ROUTER_ADVERTISEMENT)
		return 0;
	len = got - sizeof(data.head) - sizeof(data.message);
	if (data.message.nduseropt_opts_len < len)
		len = data.message.nduseropt_opts_len;
	if (!parse_announced(data.options, len, announced))
		*index = data.message.nduseropt_ifindex;
	return 0;
}
