// SPDX-License-Identifier: GPL-2.0-only
/*
 * One interface's DHCP client (RFC 2131, 4.4): a state, the time when it
 * wants to act, and what it does to the interface.
 */
#define _GNU_SOURCE
#include "dhcp.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#define FIRST_WAIT	(1 * SECOND)	/* for an answer; then twice as long */
#define LONGEST_WAIT	(64 * SECOND)
#define REFUSAL_WAIT	(5 * SECOND)
#define RENEWAL_WAIT	(60 * SECOND)	/* at least (RFC 2131, 4.4.5) */
#define MOST_TRIES	4		/* to get what was offered */

long now(void)
{
	struct timespec time;

	/* goes on while the machine is asleep, as the lease does */
	clock_gettime(CLOCK_BOOTTIME, &time);
	return time.tv_sec * SECOND + time.tv_nsec / (1000 * 1000);
}

static uint32_t random_number(void)
{
	uint32_t n = 0;

	getrandom(&n, sizeof(n), GRND_NONBLOCK);
	return n;
}

/* 1, 2, 4 … 64 seconds, each a tenth longer or shorter, so none keep step. */
static long backoff(unsigned int tries)
{
	long wait = tries < 7 ? FIRST_WAIT << tries : LONGEST_WAIT;

	if (wait > LONGEST_WAIT)
		wait = LONGEST_WAIT;
	return wait - wait / 10 + random_number() % (wait / 5);
}

static struct ip address_of(const struct lease *lease)
{
	return (struct ip){
		.family = AF_INET, .bits = lease->bits, .v4 = lease->address,
	};
}

/* RFC 2131, table 5: what is said in which state, and to whom. */
static void say(struct client *client)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(DHCP_SERVER_PORT),
		.sin_addr.s_addr = htonl(INADDR_BROADCAST),
	};
	struct dhcp_request request = {
		.type = client->state == SELECTING ? DHCP_DISCOVER : DHCP_REQUEST,
		.xid = client->xid,
		.seconds = (now() - client->began) / SECOND,
		.mac = client->mac,
		.hostname = client->hostname,
	};
	uint8_t data[DHCP_MESSAGE_SIZE];

	switch (client->state) {
	case REQUESTING:
		request.wanted = client->offer.address;
		request.server = client->offer.server;
		break;
	case REBOOTING:
		request.wanted = client->lease.address;
		break;
	case RENEWING:
		to.sin_addr = client->lease.server;
		request.client = client->lease.address;
		break;
	case REBINDING:
		request.client = client->lease.address;
		break;
	default:
		break;
	}
	/* nobody there, or no link yet: there is a next time */
	sendto(client->socket, data, dhcp_build(&request, data), MSG_DONTWAIT,
	       (struct sockaddr *)&to, sizeof(to));
}

/* A new state, in which something is said at once. */
void enter(struct client *client, enum dhcp_state state)
{
	client->state = state;
	client->tries = 0;
	client->due = now();
	/* a request for an offer belongs to the conversation it came in */
	if (state != REQUESTING) {
		client->xid = random_number();
		client->began = client->due;
	}
}

static void give_up_address(struct client *client)
{
	struct ip ip = address_of(&client->lease);

	if (!client->bound)
		return;
	client->bound = 0;
	remove_address(client->index, &ip);
	leases_changed();
}

static long end_of(const struct client *client, uint32_t seconds)
{
	return client->since + seconds * SECOND;
}

/* The offer has been acknowledged, or the lease has been extended. */
static void bind_lease(struct client *client, const struct lease *lease)
{
	struct ip ip = address_of(lease);
	struct ip router = {
		.family = AF_INET, .bits = 32, .v4 = lease->router,
	};

	if (client->bound && (client->lease.bits != lease->bits ||
	    client->lease.address.s_addr != lease->address.s_addr))
		give_up_address(client);
	client->lease = *lease;
	client->since = now();
	if (add_address(client->index, &ip))
		complain("cannot give the leased address to", client->name, errno);
	client->bound = 1;
	if (router.v4.s_addr &&
	    add_default_route(client->index, &router, client->order))
		complain("cannot route by the leased gateway on", client->name, errno);
	/* less would break IPv4; more than the device takes is refused there */
	if (lease->mtu >= 576)
		link_mtu(client->index, lease->mtu);
	leases_changed();
	client->state = BOUND;
	client->due = lease->seconds == DHCP_FOREVER ?
		LONG_MAX : end_of(client, lease->renew ? lease->renew : 1);
}

/* Half of what is left, but not more often than RFC 2131 wants it. */
static long halfway(long end)
{
	long left = (end - now()) / 2;

	if (left < RENEWAL_WAIT)
		left = RENEWAL_WAIT;
	return now() + left < end ? now() + left : end;
}

static void lose_lease(struct client *client)
{
	complain("no DHCP server has renewed the address of", client->name, 0);
	give_up_address(client);
	enter(client, SELECTING);
}

/* The time has come to do what the state asks for. */
void act(struct client *client)
{
	long rebind = end_of(client, client->lease.rebind);
	long end = end_of(client, client->lease.seconds);

	if (client->bound && client->lease.seconds && now() >= end)
		lose_lease(client);
	if (client->state == BOUND)
		enter(client, RENEWING);
	if (client->state == RENEWING && now() >= rebind)
		enter(client, REBINDING);
	if ((client->state == REQUESTING || client->state == REBOOTING) &&
	    client->tries >= MOST_TRIES)
		enter(client, SELECTING);

	say(client);
	if (client->state == RENEWING)
		client->due = halfway(rebind);
	else if (client->state == REBINDING)
		client->due = halfway(end);
	else
		client->due = now() + backoff(client->tries++);
}

void take_message(struct client *client)
{
	uint8_t data[DHCP_BUFFER_SIZE];
	ssize_t len = recv(client->socket, data, sizeof(data), MSG_DONTWAIT);
	struct lease lease;
	int type;

	if (len < 0)
		return;
	type = dhcp_parse(data, len, client->xid, client->mac, &lease);
	if (client->state == SELECTING && type == DHCP_OFFER) {
		client->offer = lease;
		enter(client, REQUESTING);
		return;
	}
	if (client->state == SELECTING || client->state == BOUND)
		return;
	if (type == DHCP_ACK) {
		bind_lease(client, &lease);
	} else if (type == DHCP_NAK) {
		/* a server that refuses what it has just offered will go on so */
		long wait = client->state == REQUESTING ? REFUSAL_WAIT : 0;

		give_up_address(client);
		enter(client, SELECTING);
		client->due += wait;
	}
}
