/* SPDX-License-Identifier: GPL-2.0-only */
/* Interfaces, addresses and leases, among the files that deal with them. */
#ifndef UK_NETWORK_H
#define UK_NETWORK_H

#include "init.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>

#define MAC_SIZE	6	/* bytes of an Ethernet address */

static inline in_addr_t netmask(unsigned int bits)
{
	return bits ? htonl(UINT32_MAX << (32 - bits)) : 0;
}

/* netlink.c: 0, or -1 with errno. */
int link_up(int index);
int link_mtu(int index, unsigned int mtu);
int add_address(int index, const struct ip *ip);
int remove_address(int index, const struct ip *ip);
int add_default_route(int index, const struct ip *gateway, unsigned int order);

/* network.c: the index of an interface and its name, or 0; 0, or -1 with errno. */
int find_interface(const struct interface *interface, char name[IF_NAMESIZE]);
int interface_name(int index, char name[IF_NAMESIZE]);

/* dhcp_message.c: RFC 2131's messages and data. */
#define DHCP_SERVER_PORT	67
#define DHCP_CLIENT_PORT	68
#define DHCP_MESSAGE_SIZE	576	/* bytes of what we send, at most */
#define DHCP_BUFFER_SIZE	1472	/* and of what we take: one Ethernet frame */
#define DHCP_FOREVER		UINT32_MAX

enum dhcp_type {
	DHCP_DISCOVER = 1, DHCP_OFFER, DHCP_REQUEST, DHCP_DECLINE, DHCP_ACK,
	DHCP_NAK, DHCP_RELEASE,
};

/* What we say.  Addresses that are 0 are left out. */
struct dhcp_request {
	enum dhcp_type type;
	uint32_t xid;
	uint16_t seconds;		/* since we began to ask */
	const uint8_t *mac;
	struct in_addr client;		/* ciaddr: our address, in use */
	struct in_addr wanted;		/* option 50 */
	struct in_addr server;		/* option 54 */
	const char *hostname;
};

/* What a server says.  Numbers that were not sent are 0. */
struct lease {
	struct in_addr address;
	unsigned int bits;
	struct in_addr server;
	struct in_addr router;
	struct in_addr nameserver[MAX_NAMESERVERS];
	size_t nr_nameservers;
	char domain[254];
	uint16_t mtu;
	uint32_t seconds;		/* of the lease, DHCP_FOREVER: no end */
	uint32_t renew;			/* T1 */
	uint32_t rebind;		/* T2 */
};

size_t dhcp_build(const struct dhcp_request *request, uint8_t data[DHCP_MESSAGE_SIZE]);
int dhcp_parse(const uint8_t *data, size_t len, uint32_t xid,
	       const uint8_t *mac, struct lease *lease);

#endif
