// SPDX-License-Identifier: GPL-2.0-only
/*
 * Links, addresses and routes of both families: rtnetlink, since ioctl knows
 * IPv6 only by half.  Each call is one request and the kernel's answer.
 */
#include "network.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
	struct nlmsghdr head;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg address;
		struct rtmsg route;
		char room[128];
	};
};

static size_t size_of(const struct ip *ip)
{
	return ip->family == AF_INET6 ? 16 : 4;
}

static void begin(struct request *request, int type, int flags, size_t body)
{
	memset(request, 0, sizeof(*request));
	request->head.nlmsg_len = NLMSG_LENGTH(body);
	request->head.nlmsg_type = type;
	request->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
}

/* All that is ever added fits: the room is for three addresses and more. */
static void add(struct request *request, int type, const void *data, size_t len)
{
	struct rtattr *attribute = (struct rtattr *)
		((char *)request + NLMSG_ALIGN(request->head.nlmsg_len));

	attribute->rta_type = type;
	attribute->rta_len = RTA_LENGTH(len);
	memcpy(RTA_DATA(attribute), data, len);
	request->head.nlmsg_len = NLMSG_ALIGN(request->head.nlmsg_len) +
				  attribute->rta_len;
}

static int ask(struct request *request)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[256];		/* of what was asked */
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t got = -1;

	if (fd < 0)
		return -1;
	if (send(fd, request, request->head.nlmsg_len, 0) >= 0)
		do
			got = recv(fd, &answer, sizeof(answer), 0);
		while (got < 0 && errno == EINTR);
	close(fd);
	if (got < 0)
		return -1;
	if ((size_t)got < NLMSG_LENGTH(sizeof(answer.error)) ||
	    answer.head.nlmsg_type != NLMSG_ERROR) {
		errno = EPROTO;
		return -1;
	}
	if (!answer.error.error)
		return 0;
	/* the kernel's errors are -1 to -4095 (include/linux/err.h) */
	errno = answer.error.error < 0 && answer.error.error >= -4095 ?
		-answer.error.error : EPROTO;
	return -1;
}

int link_up(int index)
{
	struct request request;

	begin(&request, RTM_NEWLINK, 0, sizeof(request.link));
	request.link.ifi_index = index;
	request.link.ifi_flags = IFF_UP;
	request.link.ifi_change = IFF_UP;
	return ask(&request);
}

int link_mtu(int index, unsigned int mtu)
{
	struct request request;

	begin(&request, RTM_NEWLINK, 0, sizeof(request.link));
	request.link.ifi_index = index;
	add(&request, IFLA_MTU, &mtu, sizeof(mtu));
	return ask(&request);
}

/*
 * No search for duplicates of an IPv6 address that was given: the application
 * starts next, and could not bind to it for a second.
 */
static int change_address(int type, int flags, int index, const struct ip *ip)
{
	struct request request;

	begin(&request, type, flags, sizeof(request.address));
	request.address.ifa_family = ip->family;
	request.address.ifa_prefixlen = ip->bits;
	request.address.ifa_index = index;
	if (ip->family == AF_INET6)
		request.address.ifa_flags = IFA_F_NODAD;
	add(&request, IFA_LOCAL, ip->addr, size_of(ip));
	add(&request, IFA_ADDRESS, ip->addr, size_of(ip));
	if (ip->family == AF_INET && ip->bits < 31) {
		struct in_addr all = ip->v4;

		all.s_addr |= ~netmask(ip->bits);
		add(&request, IFA_BROADCAST, &all, sizeof(all));
	}
	return ask(&request);
}

/* There already is as good. */
int add_address(int index, const struct ip *ip)
{
	return change_address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, ip);
}

int remove_address(int index, const struct ip *ip)
{
	return change_address(RTM_DELADDR, 0, index, ip);
}

/*
 * The default route of an interface.  Of several interfaces the first one's
 * counts (`order`); an IPv6 gateway that was given goes before those that
 * announce themselves, which the kernel takes at 1024.  The gateway need not
 * be in the interface's network: clouds give a machine a /32.
 */
int add_default_route(int index, const struct ip *gateway, unsigned int order)
{
	unsigned int metric = gateway->family == AF_INET6 ? order + 1 : order;
	struct request request;

	begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE,
	      sizeof(request.route));
	request.route.rtm_family = gateway->family;
	request.route.rtm_table = RT_TABLE_MAIN;
	request.route.rtm_protocol = RTPROT_BOOT;
	request.route.rtm_scope = RT_SCOPE_UNIVERSE;
	request.route.rtm_type = RTN_UNICAST;
	request.route.rtm_flags = RTNH_F_ONLINK;
	add(&request, RTA_GATEWAY, gateway->addr, size_of(gateway));
	add(&request, RTA_OIF, &index, sizeof(index));
	add(&request, RTA_PRIORITY, &metric, sizeof(metric));
	return ask(&request);
}
