// SPDX-License-Identifier: GPL-2.0-only
/*
 * DHCP's messages (RFC 2131, options: RFC 2132) to data and back; runs as
 * well in a Linux process.  Whoever is on the network may have written what
 * comes in: every length is checked, and text is taken only if a file of
 * configuration could hold it.
 */
#include "network.h"

#include <ctype.h>
#include <string.h>

enum { BOOT_REQUEST = 1, BOOT_REPLY = 2, ETHERNET = 1 };

#define TO_ALL	htons(0x8000)	/* answer by broadcast: we have no address yet */

static const uint8_t cookie[4] = { 99, 130, 83, 99 };

struct header {
	uint8_t op, htype, hlen, hops;
	uint32_t xid;
	uint16_t secs, flags;
	struct in_addr ciaddr, yiaddr, siaddr, giaddr;
	uint8_t chaddr[16];
	uint8_t sname[64];
	uint8_t file[128];
	uint8_t cookie[4];
};

_Static_assert(sizeof(struct header) == 240, "as on the wire");

enum option {
	PAD = 0, MASK = 1, ROUTER = 3, NAMESERVER = 6, HOSTNAME = 12,
	DOMAIN = 15, MTU = 26, WANTED = 50, SECONDS = 51, OVERLOAD = 52,
	TYPE = 53, SERVER = 54, PARAMETERS = 55, LARGEST = 57, RENEW = 58,
	REBIND = 59, END = 255,
};

static uint8_t *put(uint8_t *at, enum option option, const void *data, uint8_t len)
{
	*at++ = option;
	*at++ = len;
	memcpy(at, data, len);
	return at + len;
}

static uint8_t *put_address(uint8_t *at, enum option option, struct in_addr addr)
{
	return addr.s_addr ? put(at, option, &addr, sizeof(addr)) : at;
}

/* Returns the length, which with any request is less than half the room. */
size_t dhcp_build(const struct dhcp_request *request, uint8_t data[DHCP_MESSAGE_SIZE])
{
	static const uint8_t parameters[] = {
		MASK, ROUTER, NAMESERVER, DOMAIN, MTU, SECONDS, RENEW, REBIND,
	};
	const uint8_t type = request->type;
	const uint16_t largest = htons(DHCP_BUFFER_SIZE);
	struct header header = {
		.op = BOOT_REQUEST,
		.htype = ETHERNET,
		.hlen = MAC_SIZE,
		.xid = request->xid,
		.secs = htons(request->seconds),
		.flags = request->client.s_addr ? 0 : TO_ALL,
		.ciaddr = request->client,
	};
	uint8_t *at = data + sizeof(header);

	memset(data, 0, DHCP_MESSAGE_SIZE);
	memcpy(header.chaddr, request->mac, MAC_SIZE);
	memcpy(header.cookie, cookie, sizeof(cookie));
	memcpy(data, &header, sizeof(header));
	at = put(at, TYPE, &type, 1);
	at = put_address(at, WANTED, request->wanted);
	at = put_address(at, SERVER, request->server);
	at = put(at, LARGEST, &largest, sizeof(largest));
	at = put(at, PARAMETERS, parameters, sizeof(parameters));
	if (request->hostname && *request->hostname)
		at = put(at, HOSTNAME, request->hostname, strnlen(request->hostname, 64));
	*at++ = END;
	/* some relays drop what is shorter than BOOTP's 300 bytes */
	return at - data < 300 ? 300 : (size_t)(at - data);
}

static unsigned int count_bits(uint32_t mask)
{
	return __builtin_popcount(mask);
}

/* A mask's ones come first; another one is none. */
static unsigned int bits_of(const uint8_t *value)
{
	uint32_t mask;
	unsigned int bits;

	memcpy(&mask, value, sizeof(mask));
	bits = count_bits(mask);
	return netmask(bits) == mask ? bits : 0;
}

/* The mask that an address had before there were masks. */
static unsigned int usual_bits(struct in_addr addr)
{
	uint8_t first = ntohl(addr.s_addr) >> 24;

	return first < 128 ? 8 : first < 192 ? 16 : 24;
}

static uint32_t number(const uint8_t *value)
{
	uint32_t n;

	memcpy(&n, value, sizeof(n));
	return ntohl(n);
}

/* A name goes into resolv.conf: letters, digits, dots and dashes, or not at all. */
static void take_domain(struct lease *lease, const uint8_t *value, size_t len)
{
	size_t i;

	while (len && !value[len - 1])
		len--;
	if (!len || len >= sizeof(lease->domain))
		return;
	for (i = 0; i < len; i++)
		if (!isalnum(value[i]) && !memchr("-._", value[i], 3))
			return;
	memcpy(lease->domain, value, len);
	lease->domain[len] = '\0';
}

static void take_nameservers(struct lease *lease, const uint8_t *value, size_t len)
{
	size_t n = len / 4;

	lease->nr_nameservers = n < MAX_NAMESERVERS ? n : MAX_NAMESERVERS;
	memcpy(lease->nameserver, value, 4 * lease->nr_nameservers);
}

/* What one option says; one of a wrong length says nothing. */
static void take_option(struct lease *lease, int *type, enum option option,
			const uint8_t *value, size_t len)
{
	if (option == TYPE && len == 1)
		*type = value[0];
	else if (option == DOMAIN)
		take_domain(lease, value, len);
	else if (option == MTU && len == 2)
		lease->mtu = value[0] << 8 | value[1];
	if (len < 4)
		return;
	if (option == NAMESERVER)
		take_nameservers(lease, value, len);
	else if (option == ROUTER)
		memcpy(&lease->router, value, 4);
	if (len != 4)
		return;
	if (option == MASK)
		lease->bits = bits_of(value);
	else if (option == SERVER)
		memcpy(&lease->server, value, 4);
	else if (option == SECONDS)
		lease->seconds = number(value);
	else if (option == RENEW)
		lease->renew = number(value);
	else if (option == REBIND)
		lease->rebind = number(value);
}

/* Returns what option 52 says: 1 the file, 2 the server's name has more. */
static int take_options(struct lease *lease, int *type, const uint8_t *at, size_t len)
{
	const uint8_t *end = at + len;
	int overload = 0;

	while (at < end && *at != END) {
		if (*at == PAD) {
			at++;
			continue;
		}
		if (end - at < 2 || end - at - 2 < at[1])
			break;
		if (*at == OVERLOAD && at[1] == 1)
			overload = at[2];
		take_option(lease, type, *at, at + 2, at[1]);
		at += 2 + at[1];
	}
	return overload;
}

/* T1 and T2 in order, or as RFC 2131 (4.4.5) has them where they are not said. */
static void complete_times(struct lease *lease)
{
	if (lease->seconds == DHCP_FOREVER)
		return;
	if (!lease->rebind || lease->rebind >= lease->seconds)
		lease->rebind = (uint64_t)lease->seconds * 7 / 8;
	if (!lease->renew || lease->renew >= lease->rebind)
		lease->renew = lease->seconds / 2;
	/* a server may have said a very early T2, and no T1 */
	if (lease->renew > lease->rebind)
		lease->renew = lease->rebind;
}

/* May a machine have this address? */
static int is_usable(struct in_addr addr)
{
	uint32_t n = ntohl(addr.s_addr);

	return n >> 24 != 0 && n >> 24 != 127 && n >> 28 < 14;
}

/*
 * The type of a server's message, and the lease in it; -1 for what is none,
 * not an answer to `xid`, or not for us.  An offer or an acknowledgement has
 * an address, a server and a time.
 */
int dhcp_parse(const uint8_t *data, size_t len, uint32_t xid,
	       const uint8_t *mac, struct lease *lease)
{
	struct header header;
	int type = -1, overload;

	memset(lease, 0, sizeof(*lease));
	if (len < sizeof(header))
		return -1;
	memcpy(&header, data, sizeof(header));
	if (header.op != BOOT_REPLY || header.htype != ETHERNET ||
	    header.hlen != MAC_SIZE || header.xid != xid ||
	    memcmp(header.chaddr, mac, MAC_SIZE) ||
	    memcmp(header.cookie, cookie, sizeof(cookie)))
		return -1;
	overload = take_options(lease, &type, data + sizeof(header),
				len - sizeof(header));
	if (overload & 1)
		take_options(lease, &type, header.file, sizeof(header.file));
	if (overload & 2)
		take_options(lease, &type, header.sname, sizeof(header.sname));
	if (type == DHCP_NAK)
		return type;
	lease->address = header.yiaddr;
	if (!is_usable(lease->address) || !lease->server.s_addr ||
	    !lease->seconds || (type != DHCP_OFFER && type != DHCP_ACK))
		return -1;
	if (!lease->bits)
		lease->bits = usual_bits(lease->address);
	complete_times(lease);
	return type;
}
