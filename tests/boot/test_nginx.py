"""The distribution's nginx serves a directory of the host, byte for byte."""

import hashlib
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from support.boots import DEADLINE, FACTOR, run_argv

from ukcc import debsource, demo, proc
from ukcc.free_port import free_port

# What is not asked here would only make the build longer.
WITHOUT = ("rewrite", "gzip", "proxy", "fastcgi", "uwsgi", "scgi", "memcached", "grpc")
CONFIGURE = ["sh", "./configure", *(f"--without-http_{name}_module" for name in WITHOUT)]

CONFIGURATION = """
daemon off;
user root;
worker_processes 2;
pid /tmp/nginx.pid;
events { }
http {
    access_log off;
    client_body_temp_path /tmp/body;
    server {
        listen 8080;
        root /www;
        autoindex on;
        sendfile on;
    }
}
"""

LARGE = 100_000_007
HUGE = (1 << 32) + 12345
ODD = b"odd \xff\xfe %41 \"'\\ \xc3\xa9 #?&+;\n\x7f"


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("nginx")
    tree = debsource.fetch("nginx", work).tree
    log = work / "build.log"
    # the tests of configure are run on Linux only: they need no kernel in them
    plain = proc.isolated(
        CONFIGURE, {"CC": "uk-gcc", "PATH": proc.path_for_builds(), "UKCC_PLAIN": "1"}
    )
    proc.run(plain, cwd=tree, log=log)
    proc.run(proc.isolated(["make", "-j2"], {"PATH": proc.path_for_builds()}), cwd=tree, log=log)
    return tree / "objs" / "nginx"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    (site / "empty").write_bytes(b"")
    (site / "page").write_bytes(b"x" * 4095 + b"\n")
    (site / "large").write_bytes(random.Random(LARGE).randbytes(LARGE))
    with (site / "huge").open("wb") as file:
        file.seek(HUGE - 4)
        file.write(b"end\n")
    (site / os.fsdecode(ODD)).write_bytes(b"odd\n")
    (site / "inside").symlink_to("page")
    (site / "outside").symlink_to("/tmp/nginx.pid")
    deep = site.joinpath(*["d" * 200] * 15)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"deep\n")
    many = site / "many"
    many.mkdir()
    for number in range(10_000):
        (many / f"{number:05}").touch()
    return site


@pytest.fixture(scope="session")
def server(nginx: Path, site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    place = tmp_path_factory.mktemp("conf")
    (place / "nginx.conf").write_text(CONFIGURATION)
    port = free_port()
    options = ["-p", f"{port}:8080", "-v", f"{place}:/nginx:ro", "-v", f"{site}:/www:ro"]
    words = ["-p", "/tmp", "-e", "stderr", "-c", "/nginx/nginx.conf"]
    command = [word.decode() for word in run_argv(nginx, words, options)]
    with demo.booted(command, place / "console"):
        curl(port, "empty", "--retry", "100", "--retry-all-errors", "--retry-delay", "1")
        yield port


def curl(port: int, path: "str | bytes", *words: str) -> bytes:
    url = f"http://127.0.0.1:{port}/{quote(path)}"
    argv = ["curl", "-sSf", "--path-as-is", "-m", str(DEADLINE * FACTOR), *words, url]
    done = subprocess.run(argv, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_files_of_every_size(server: int, site: Path) -> None:
    assert curl(server, "empty") == b""
    assert curl(server, "page") == (site / "page").read_bytes()
    assert _digest(curl(server, "large")) == _digest((site / "large").read_bytes())


def _digest(data: bytes) -> str:
    """Of data that nobody wants to see in a message."""
    return hashlib.sha256(data).hexdigest()


def test_ranges(server: int, site: Path) -> None:
    with (site / "large").open("rb") as file:
        for first, last in ((0, 0), (4095, 4096), (50_000_005, 50_070_000), (LARGE - 9, LARGE - 1)):
            file.seek(first)
            assert curl(server, "large", "-r", f"{first}-{last}") == file.read(last - first + 1)
    assert curl(server, "huge", "-r", f"{HUGE - 6}-") == b"\0\0end\n"
    assert f"Content-Length: {HUGE}".encode() in curl(server, "huge", "-I")


def test_names_and_links(server: int) -> None:
    assert curl(server, ODD) == b"odd\n"
    assert curl(server, "/".join([*["d" * 200] * 15, "file"])) == b"deep\n"
    assert curl(server, "inside").startswith(b"xxxx")
    # a link is followed where it is read: this one leads to a file of the guest's
    assert curl(server, "outside").strip().isdigit()


def test_a_directory_of_many(server: int) -> None:
    listing = curl(server, "many/")
    assert listing.count(b"<a href=") == 10_001
    assert all(b'"%05d"' % number in listing for number in range(10_000))


def test_files_that_change_meanwhile(server: int, site: Path) -> None:
    file = site / "changing"
    for number in range(5):
        text = b"%d" % number * 5000 * (5 - number)
        if number % 2:
            file.write_bytes(text)
        else:
            (site / "new").write_bytes(text)
            (site / "new").rename(file)
        assert curl(server, "changing") == text
    file.unlink()
    assert curl(server, "", "-o", os.devnull) == b""
    done = subprocess.run(["curl", "-sSf", f"http://127.0.0.1:{server}/changing"])
    assert done.returncode == 22
