// SPDX-License-Identifier: GPL-2.0-only
/* What comes by the port `ukcc.requests`, byte by byte. */
#include "target.h"

#include "request.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct lines lines = { .used = 0 };
	struct host_request request, again;
	size_t i;

	for (i = 0; i < len; i++) {
		if (!add_to_line(&lines, data[i]))
			continue;
		EXPECT(strlen(lines.text) < sizeof(lines.text));
		if (parse_request(lines.text, &request))
			continue;
		EXPECT(request.time.tv_nsec >= 0 && request.time.tv_nsec < 1000000000L);
		EXPECT(request.time.tv_sec >= 0);
		EXPECT(request.ask <= ASK_TIME);
		EXPECT(!parse_request(lines.text, &again));
		EXPECT(!memcmp(&request, &again, sizeof(request)));
	}
	return 0;
}
