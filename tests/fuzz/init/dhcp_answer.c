// SPDX-License-Identifier: GPL-2.0-only
/*
 * An answer by DHCP: whoever is on the network may have sent it.  The first
 * byte says whether what every answer has is put right, so that most inputs
 * get as far as the options.
 */
#include "target.h"

#include "dhcp_message.c"

static const uint8_t mac[MAC_SIZE] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
static const uint32_t xid = 0x12345678;

static void put_right(uint8_t *data, size_t len)
{
	struct header header;

	if (len < sizeof(header))
		return;
	memcpy(&header, data, sizeof(header));
	header.op = BOOT_REPLY;
	header.htype = ETHERNET;
	header.hlen = MAC_SIZE;
	header.xid = xid;
	memcpy(header.chaddr, mac, sizeof(mac));
	memcpy(header.cookie, cookie, sizeof(cookie));
	memcpy(data, &header, sizeof(header));
}

static void check(int type, const struct lease *lease)
{
	const char *at;

	EXPECT(type == DHCP_OFFER || type == DHCP_ACK);
	EXPECT(lease->bits >= 1 && lease->bits <= 32);
	EXPECT(lease->nr_nameservers <= MAX_NAMESERVERS);
	EXPECT(is_usable(lease->address));
	EXPECT(lease->seconds == DHCP_FOREVER ||
	       (lease->renew <= lease->rebind && lease->rebind <= lease->seconds));
	EXPECT(memchr(lease->domain, '\0', sizeof(lease->domain)));
	for (at = lease->domain; *at; at++)
		EXPECT(isalnum(*at) || strchr("-._", *at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct dhcp_request request = { .type = DHCP_DISCOVER, .mac = mac };
	uint8_t sent[DHCP_MESSAGE_SIZE];
	struct lease lease;
	uint8_t *answer;
	int type;

	if (!len)
		return 0;
	answer = malloc(len - 1);
	memcpy(answer, data + 1, len - 1);
	if (data[0] & 1)
		put_right(answer, len - 1);
	type = dhcp_parse(answer, len - 1, xid, mac, &lease);
	if (type >= 0 && type != DHCP_NAK)
		check(type, &lease);
	free(answer);
	/* nor is what we ask an answer */
	EXPECT(dhcp_parse(sent, dhcp_build(&request, sent), request.xid, mac, &lease) < 0);
	return 0;
}
