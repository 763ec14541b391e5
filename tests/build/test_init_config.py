"""The parsers of PID 1 (sysroot/init/config.c), compiled and run as a Linux process."""

import os
import subprocess
from pathlib import Path

import pytest
from support.init_driver import INIT, build_driver

# Prints what the parsers make of standard input, each item on a line in <>.
DRIVER = r"""
#include "init.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void show(const char *name, const char *value)
{
	if (value)
		printf("%s<%s>\n", name, value);
}

static void show_all(char **vector)
{
	while (*vector)
		show("", *vector++);
}

static void show_settings(char *text)
{
	struct settings s;
	const char *bad = parse_settings(text, &s);
	size_t i, j;

	show("bad", bad);
	show("hostname", s.hostname);
	for (i = 0; i < s.nr_interfaces; i++) {
		show("interface", s.interface[i].mac);
		for (j = 0; j < s.interface[i].nr_addresses; j++)
			show("address", s.interface[i].address[j]);
		for (j = 0; j < s.interface[i].nr_gateways; j++)
			show("gateway", s.interface[i].gateway[j]);
	}
	show("cwd", s.cwd);
	show("user", s.user);
	for (i = 0; i < s.nr_limits; i++)
		printf("limit<%s> %d %lu %lu\n", s.limit[i].name, s.limit[i].resource,
			s.limit[i].soft, s.limit[i].hard);
	show("term", s.term);
	for (i = 0; i < s.nr_nameservers; i++)
		show("nameserver", s.nameserver[i]);
	for (i = 0; i < s.nr_searches; i++)
		show("search", s.search[i]);
	for (i = 0; i < s.nr_hosts; i++)
		show("host", s.host[i]);
	if (s.readonly_root)
		puts("root read-only");
	for (i = 0; i < s.nr_shares; i++) {
		if (strcmp(s.share[i].type, "9p"))
			show("type", s.share[i].type);
		show("tag", s.share[i].tag);
		show(s.share[i].readonly ? "ro" : "rw", s.share[i].path);
	}
	printf("%d %d %ux%u\n", s.cooked, (int)s.input, s.rows, s.columns);
}

int main(int argc, char **argv)
{
	static char *defaults[] = { "PATH=/bin", "HOME=/", NULL };
	char address[INET6_ADDRSTRLEN];
	struct ip ip;
	size_t len;
	char *text = read_file("/dev/stdin", &len);

	(void)argc;
	if (!strcmp(argv[1], "entries"))
		show_all(split_entries(text, len));
	else if (!strcmp(argv[1], "words"))
		show_all(words_after_dashes(text));
	else if (!strcmp(argv[1], "env"))
		show_all(merge_env(defaults, split_entries(text, len)));
	else if (!strcmp(argv[1], "settings"))
		show_settings(text);
	else if (parse_ip(text, &ip))
		return 1;
	else {
		inet_ntop(ip.family, ip.addr, address, sizeof(address));
		printf("%s %u\n", address, ip.bits);
	}
	return 0;
}
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("init")
    return build_driver(directory, DRIVER, ["config.c"])


# PID 1 keeps all it has read
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}


def parse(driver: Path, what: str, text: bytes) -> bytes:
    done = subprocess.run([driver, what], input=text, capture_output=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    return done.stdout


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"", b""),
        (b"\0", b"<>\n"),
        (b"a\0\0b c\0", b"<a>\n<>\n<b c>\n"),
        (b"\xff\n\0", b"<\xff\n>\n"),
        (b"unended", b"<unended>\n"),
        (b"x" * 10000 + b"\0", b"<" + b"x" * 10000 + b">\n"),
    ],
)
def test_entries(driver: Path, text: bytes, shown: bytes) -> None:
    assert parse(driver, "entries", text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"console=ttyS0\n", b""),
        (b"console=ttyS0 --\n", b""),
        (b"a --b -- c  --  d\n", b"<c>\n<-->\n<d>\n"),
        (b'x="-- y" -- "two words" k="v w"\n', b"<two words>\n<k=v w>\n"),
        (b'-- "" "open', b"<>\n<open>\n"),
    ],
)
def test_words_behind_the_dashes(driver: Path, text: bytes, shown: bytes) -> None:
    assert parse(driver, "words", text) == shown


def test_environment(driver: Path) -> None:
    shown = parse(driver, "env", b"A=1\0PATH=/x\0A=2\0HOMER=\0")
    assert shown == b"<PATH=/x>\n<HOME=/>\n<A=2>\n<HOMER=>\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"", b"0 0 0x0\n"),
        (b"ulimit=nofile:7:10\n", b"bad<ulimit=nofile>\n0 0 0x0\n"),
        (b"ulimit=7\n", b"bad<ulimit=7>\n0 0 0x0\n"),
        (b"tty=cooked\nrows=24\ncolumns=80\n", b"1 0 24x80\n"),
        (b"tty=raw\nstdin=port\n", b"0 1 0x0\n"),
        (b"stdin=null\nhostname=h\nterm=xterm\n", b"hostname<h>\nterm<xterm>\n0 2 0x0\n"),
        (
            b"address=dhcp\nnameserver=1.1.1.1\nnameserver=2.2.2.2\n",
            b"address<dhcp>\nnameserver<1.1.1.1>\nnameserver<2.2.2.2>\n0 0 0x0\n",
        ),
        (b"mount=t:/a:b:ro\nmount=u:/c:rw", b"tag<t>\nro</a:b>\ntag<u>\nrw</c>\n0 0 0x0\n"),
        (
            b"disk=/dev/vda:/a:ro\nvirtiofs=t:/b:c:rw\nroot=ro\n",
            b"root read-only\ntype<ext4>\ntag</dev/vda>\nro</a>\n"
            b"type<virtiofs>\ntag<t>\nrw</b:c>\n0 0 0x0\n",
        ),
        (b"disk=/dev/vda:ro\n", b"bad<disk=/dev/vda:ro>\n0 0 0x0\n"),
        (b"root=no\n", b"bad<root=no>\n0 0 0x0\n"),
        (b"mount=t:/a\nrows=1\n", b"bad<mount=t:/a>\n0 0 1x0\n"),
        (b"rows=70000\n", b"bad<rows=70000>\n0 0 0x0\n"),
        (
            b"gateway=1.1.1.1\ninterface=a:b\naddress=::1/64\naddress=dhcp\ngateway=::2\n",
            b"gateway<1.1.1.1>\ninterface<a:b>\naddress<::1/64>\naddress<dhcp>\ngateway<::2>\n"
            b"0 0 0x0\n",
        ),
        (b"search=a.b\nsearch=c\nhost=::1 x\n", b"search<a.b>\nsearch<c>\nhost<::1 x>\n0 0 0x0\n"),
        (b"interface=x\n" * 9, b"bad<interface=x>\n" + b"interface<x>\n" * 8 + b"0 0 0x0\n"),
        (b"unknown=1\n", b"bad<unknown=1>\n0 0 0x0\n"),
        (b"tty\n", b"bad<tty>\n0 0 0x0\n"),
        (b"tty=other\n", b"bad<tty=other>\n0 0 0x0\n"),
        (b"row=1\n", b"bad<row=1>\n0 0 0x0\n"),
        (b"user=redis:1\n", b"user<redis:1>\n0 0 0x0\n"),
        (
            b"ulimit=nofile:7:10:18446744073709551615\nulimit=core:4:0:1\n",
            b"limit<nofile> 7 10 18446744073709551615\nlimit<core> 4 0 1\n0 0 0x0\n",
        ),
    ],
)
def test_settings(driver: Path, text: bytes, shown: bytes) -> None:
    assert parse(driver, "settings", text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"10.0.2.15/24", b"10.0.2.15 24\n"),
        (b"1.2.3.4/0", b"1.2.3.4 0\n"),
        (b"1.2.3.4", b"1.2.3.4 32\n"),
        (b"2001:db8::2/64", b"2001:db8::2 64\n"),
        (b"fe80::1", b"fe80::1 128\n"),
    ],
)
def test_ip(driver: Path, text: bytes, shown: bytes) -> None:
    assert parse(driver, "ip", text) == shown


@pytest.mark.parametrize(
    "text",
    [b"", b"1.2.3.4/33", b"1.2.3/8", b"a/8", b"1.2.3.4/", b"::1/129", b"1::2::3/64", b"1" * 99],
)
def test_ip_refused(driver: Path, text: bytes) -> None:
    assert subprocess.run([driver, "ip"], input=text, env=ENVIRONMENT).returncode == 1


def test_it_compiles_without_a_warning(tmp_path: Path) -> None:
    sources = [str(path) for path in sorted(INIT.glob("*.c"))]
    flags = ["-Os", "-static", "-Wall", "-Wextra", "-Werror"]
    argv = ["gcc", *flags, *sources, "-o", str(tmp_path / "init")]
    subprocess.run(argv, check=True, cwd=INIT)  # where the texts of /etc are
