/* SPDX-License-Identifier: GPL-2.0-only */
/* The DHCP client of one interface, between what runs it and what it does. */
#ifndef UK_DHCP_H
#define UK_DHCP_H

#include "network.h"

#define SECOND		1000L		/* times are milliseconds since boot */

enum dhcp_state {
	SELECTING, REQUESTING, REBOOTING, BOUND, RENEWING, REBINDING,
};

struct client {
	enum dhcp_state state;
	char name[IF_NAMESIZE];
	int index;
	unsigned int order;		/* among the interfaces */
	uint8_t mac[MAC_SIZE];
	const char *hostname;
	int socket;
	uint32_t xid;
	long began;			/* to ask */
	long due;			/* when to act next */
	unsigned int tries;
	int bound;			/* the lease's address is ours */
	long since;			/* the lease began */
	struct lease lease;
	struct lease offer;
};

/* dhcp_client.c: what RFC 2131 has a client do. */
long now(void);
void enter(struct client *client, enum dhcp_state state);
void act(struct client *client);
void take_message(struct client *client);

/* dhcp.c */
void leases_changed(void);

/* Name servers that a router has announced. */
struct announced {
	struct in6_addr server[MAX_NAMESERVERS];
	size_t count;
};

/* announced.c */
int router_news(void);
int parse_announced(const uint8_t *data, size_t len, struct announced *announced);
int take_announcement(struct announced *announced, int *index);

#endif
