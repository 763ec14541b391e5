"""DHCP's messages as init writes and reads them (sysroot/init/dhcp_message.c), and the name servers
that routers announce (announced.c), in a Linux process.

With the sanitizers, since what comes in was written by whoever is on the network.
"""

import random
import socket
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from support.init_driver import build_driver

# `TYPE CLIENT WANTED SERVER NAME` writes a message; `parse` reads messages, each behind its length
# in 4 hexadecimal digits, and says what is in them; `announced` does so with announcements.
DRIVER = r"""
#include "dhcp.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mac[MAC_SIZE] = { 0x52, 0x54, 0, 1, 2, 3 };

static void show_address(const char *before, struct in_addr addr)
{
	char text[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &addr, text, sizeof(text));
	printf("%s%s", before, text);
}

static void show(const struct lease *lease, int type)
{
	size_t i;

	printf("%d", type);
	show_address(" ", lease->address);
	printf("/%u", lease->bits);
	show_address(" ", lease->server);
	show_address(" ", lease->router);
	for (i = 0; i < lease->nr_nameservers; i++)
		show_address(" dns=", lease->nameserver[i]);
	printf(" [%s] mtu=%u ", lease->domain, lease->mtu);
	printf("%u %u %u\n", lease->seconds, lease->renew, lease->rebind);
}

static void show_announced(const uint8_t *data, size_t len)
{
	struct announced announced;
	char text[INET6_ADDRSTRLEN];
	size_t i;

	if (parse_announced(data, len, &announced)) {
		puts("-1");
		return;
	}
	for (i = 0; i < announced.count; i++) {
		inet_ntop(AF_INET6, announced.server + i, text, sizeof(text));
		printf("%s ", text);
	}
	puts(".");
}

static void parse(int announcements)
{
	unsigned int len;
	struct lease lease;

	while (scanf("%4x", &len) == 1) {
		/* exactly as long as it is, so that a byte too many is seen */
		uint8_t *data = malloc(len ? len : 1);
		int type;

		if (fread(data, 1, len, stdin) != len)
			exit(2);
		if (announcements) {
			show_announced(len ? data : data + 1, len);
			free(data);
			continue;
		}
		type = dhcp_parse(len ? data : data + 1, len, 0x11223344, mac, &lease);
		if (type == DHCP_OFFER || type == DHCP_ACK)
			show(&lease, type);
		else
			printf("%d\n", type);
		free(data);
	}
}

int main(int argc, char **argv)
{
	struct dhcp_request request = { .xid = 0x11223344, .seconds = 7, .mac = mac };
	uint8_t data[DHCP_MESSAGE_SIZE];

	if (argc == 2) {
		parse(!strcmp(argv[1], "announced"));
		return 0;
	}
	request.type = atoi(argv[1]);
	inet_aton(argv[2], &request.client);
	inet_aton(argv[3], &request.wanted);
	inet_aton(argv[4], &request.server);
	request.hostname = argv[5];
	fwrite(data, 1, dhcp_build(&request, data), stdout);
	return 0;
}
"""

COOKIE = bytes([99, 130, 83, 99])
MAC = bytes([0x52, 0x54, 0, 1, 2, 3])
XID = struct.pack("<I", 0x11223344)
OFFER, ACK, NAK = 2, 5, 6

Option = tuple[int, bytes]

SERVER: Option = (54, socket.inet_aton("10.0.0.1"))
HOUR: Option = (51, struct.pack("!I", 3600))


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dhcp")
    return build_driver(directory, DRIVER, ["dhcp_message.c", "announced.c"])


def encode(options: Iterable[Option]) -> bytes:
    return b"".join(bytes([code, len(value)]) + value for code, value in options)


def header(
    address: str = "10.0.0.9",
    op: int = 2,
    xid: bytes = XID,
    mac: bytes = MAC,
    cookie: bytes = COOKIE,
) -> bytes:
    head = bytes([op, 1, 6, 0]) + xid + b"\0" * 8 + socket.inet_aton(address) + b"\0" * 8
    return head + mac.ljust(16, b"\0") + b"\0" * 192 + cookie


def message(kind: int, *options: Option, address: str = "10.0.0.9") -> bytes:
    return header(address) + encode([(53, bytes([kind])), *options]) + b"\xff"


def parse(driver: Path, *messages: bytes, what: str = "parse") -> list[str]:
    text = b"".join(b"%04x" % len(data) + data for data in messages)
    done = subprocess.run([driver, what], input=text, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


def test_a_lease(driver: Path) -> None:
    options = [
        SERVER,
        (1, socket.inet_aton("255.255.252.0")),
        (3, socket.inet_aton("10.0.0.2") + socket.inet_aton("10.0.0.3")),
        (6, b"".join(socket.inet_aton(f"10.0.0.{n}") for n in range(4, 9))),
        (15, b"example.com\0"),
        (26, struct.pack("!H", 1400)),
        HOUR,
        (58, struct.pack("!I", 1000)),
        (59, struct.pack("!I", 2000)),
    ]
    (line,) = parse(driver, message(ACK, *options))
    assert line == (
        "5 10.0.0.9/22 10.0.0.1 10.0.0.2 dns=10.0.0.4 dns=10.0.0.5 dns=10.0.0.6"
        " [example.com] mtu=1400 3600 1000 2000"
    )


def test_what_a_server_leaves_out(driver: Path) -> None:
    short, endless = struct.pack("!I", 4), struct.pack("!I", 0xFFFFFFFF)
    assert parse(
        driver,
        message(OFFER, SERVER, HOUR),
        message(ACK, SERVER, HOUR, address="192.168.1.2"),
        message(ACK, SERVER, (51, short)),
        message(ACK, SERVER, (51, endless)),
        message(ACK, SERVER, HOUR, (58, endless), (59, endless)),
        message(ACK, SERVER, HOUR, (59, struct.pack("!I", 9))),
        message(NAK),
    ) == [
        "2 10.0.0.9/8 10.0.0.1 0.0.0.0 [] mtu=0 3600 1800 3150",
        "5 192.168.1.2/24 10.0.0.1 0.0.0.0 [] mtu=0 3600 1800 3150",
        "5 10.0.0.9/8 10.0.0.1 0.0.0.0 [] mtu=0 4 2 3",
        "5 10.0.0.9/8 10.0.0.1 0.0.0.0 [] mtu=0 4294967295 0 0",
        "5 10.0.0.9/8 10.0.0.1 0.0.0.0 [] mtu=0 3600 1800 3150",
        "5 10.0.0.9/8 10.0.0.1 0.0.0.0 [] mtu=0 3600 9 9",
        "6",
    ]


def test_options_in_the_fields_for_files(driver: Path) -> None:
    """Option 52: the file has more options, and the server's name, too."""
    data = bytearray(message(ACK, SERVER, (52, b"\3")))
    more = encode([HOUR])
    data[108 : 108 + len(more) + 1] = more + b"\xff"
    more = encode([(3, socket.inet_aton("10.0.0.7"))])
    data[44 : 44 + len(more) + 1] = more + b"\xff"
    assert parse(driver, bytes(data)) == ["5 10.0.0.9/8 10.0.0.1 10.0.0.7 [] mtu=0 3600 1800 3150"]


@pytest.mark.parametrize(
    "option",
    [
        (15, b"a\nnameserver 6.6.6.6"),
        (15, b"a b"),
        (15, b"\0\0"),
        (15, b"a\0b"),
        (15, b"x" * 255),
        (26, b"\5"),
        (26, b"\5\xdc\0\0"),
        (1, b"\xff\0\xff\0"),
        (1, b"\xff\xff"),
        (3, b"\x0a\0"),
        (6, b"\x0a\0\0"),
        (58, b"\0\0\1"),
        (59, b"\0" * 5),
    ],
)
def test_an_option_that_makes_no_sense_says_nothing(driver: Path, option: Option) -> None:
    plain, odd = parse(driver, message(ACK, SERVER, HOUR), message(ACK, SERVER, HOUR, option))
    assert odd == plain


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\2",
        header(),
        header()[:239],
        header(op=1) + encode([(53, b"\5"), SERVER, HOUR]),
        header(xid=b"1234") + encode([(53, b"\5"), SERVER, HOUR]),
        header(mac=b"abcdef") + encode([(53, b"\5"), SERVER, HOUR]),
        header(cookie=b"abcd") + encode([(53, b"\5"), SERVER, HOUR]),
        message(ACK, HOUR),
        message(ACK, SERVER),
        message(ACK, SERVER, (51, b"\0" * 4)),
        message(ACK, SERVER, HOUR, address="0.0.0.0"),
        message(ACK, SERVER, HOUR, address="127.0.0.1"),
        message(ACK, SERVER, HOUR, address="224.0.0.1"),
        message(ACK, SERVER, HOUR, address="255.255.255.255"),
        message(3, SERVER, HOUR),
        header() + bytes([53, 1]),
        header() + bytes([53]),
        header() + bytes([53, 255, 5]),
        header() + encode([SERVER, HOUR]) + bytes([53, 2, 5]),
    ],
)
def test_no_lease(driver: Path, data: bytes) -> None:
    assert parse(driver, data) == ["-1"]


def test_garbage(driver: Path) -> None:
    """Cut at each length, and with bytes changed: it reads no byte that is not there."""
    whole = message(ACK, SERVER, HOUR, (15, b"example.com"), (52, b"\3"), (6, b"\1" * 12))
    cut = [whole[:length] for length in range(len(whole))]
    rand = random.Random(5)
    changed = []
    for _ in range(2000):
        data = bytearray(whole)
        for _ in range(rand.randint(1, 8)):
            data[rand.randrange(44, len(data))] = rand.randrange(256)
        changed.append(bytes(data[: rand.randint(240, len(data))]))
    assert len(parse(driver, *cut, *changed)) == len(cut) + len(changed)


@pytest.mark.parametrize(
    ("words", "flags", "client", "options"),
    [
        (("1", "0.0.0.0", "0.0.0.0", "0.0.0.0", "app"), 0x8000, "0.0.0.0", {53: b"\1", 12: b"app"}),
        (
            ("3", "0.0.0.0", "10.0.0.9", "10.0.0.1", ""),
            0x8000,
            "0.0.0.0",
            {53: b"\3", 50: socket.inet_aton("10.0.0.9"), 54: socket.inet_aton("10.0.0.1")},
        ),
        (
            ("3", "10.0.0.9", "0.0.0.0", "0.0.0.0", "x" * 80),
            0,
            "10.0.0.9",
            {53: b"\3", 12: b"x" * 64},
        ),
    ],
)
def test_what_is_asked(
    driver: Path, words: tuple[str, ...], flags: int, client: str, options: dict[int, bytes]
) -> None:
    """RFC 2131, table 5, for DISCOVER, for REQUEST after an offer, and to extend a lease."""
    data = subprocess.run([driver, *words], capture_output=True, check=True).stdout
    assert 300 <= len(data) <= 576
    assert data[:8] == b"\1\1\6\0" + XID and data[28:34] == MAC and data[236:240] == COOKIE
    assert struct.unpack("!HH", data[8:12]) == (7, flags)
    assert data[12:16] == socket.inet_aton(client)
    found, at = {}, 240
    while data[at] != 255:
        found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    assert found.pop(57) == struct.pack("!H", 1472)
    assert found.pop(55) == bytes([1, 3, 6, 15, 26, 51, 58, 59])
    assert found == options


def announcement(*servers: str, lifetime: int = 60) -> bytes:
    """RFC 8106, 5.1."""
    addresses = b"".join(socket.inet_pton(socket.AF_INET6, server) for server in servers)
    return struct.pack("!BBHI", 25, 1 + 2 * len(servers), 0, lifetime) + addresses


def test_announced_name_servers(driver: Path) -> None:
    one, four = announcement("fd00::1"), announcement("fd00::1", "fd00::2", "fd00::3", "fd00::4")
    said = parse(
        driver, one, four, announcement("fd00::1", lifetime=0), one + b"more", what="announced"
    )
    assert said == ["fd00::1 .", "fd00::1 fd00::2 fd00::3 .", ".", "fd00::1 ."]


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\x19", announcement("fd00::1")[:23], announcement()),
        *(b"\x1f" + announcement("fd00::1")[1:], b"\x19\xff" + announcement("fd00::1")[2:]),
        b"\x19\0" + announcement("fd00::1")[2:],
    ],
)
def test_no_announcement(driver: Path, data: bytes) -> None:
    assert parse(driver, data, what="announced") == ["-1"]
