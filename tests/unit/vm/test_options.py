"""The words of `ukcc run`'s options."""

import pytest

from ukcc.errors import MachineError
from ukcc.vm import options
from ukcc.vm.machine import Forward, Share
from ukcc.vm.options import TraceOption


@pytest.mark.parametrize(
    ("text", "forward"),
    [
        ("8080:80", Forward("127.0.0.1", 8080, 80)),
        ("8080:80/tcp", Forward("127.0.0.1", 8080, 80)),
        ("53:5353/udp", Forward("127.0.0.1", 53, 5353, "udp")),
        ("0.0.0.0:1:65535", Forward("0.0.0.0", 1, 65535)),
        ("192.168.1.4:5000:5001/udp", Forward("192.168.1.4", 5000, 5001, "udp")),
    ],
)
def test_forward(text: str, forward: Forward) -> None:
    assert options.parse_forward(text) == forward


@pytest.mark.parametrize(
    "text",
    [
        *("", "80", ":80", "80:", "0:80", "80:65536", "a:80", "80:80/sctp", "80:80/"),
        *("host:80:80", "1:2:3:4", "::1:80:80", "[::1]:80:80", "-1:80", "8٢:80", "1.2.3.4.5:80:80"),
    ],
)
def test_forward_refused(text: str) -> None:
    with pytest.raises(MachineError) as caught:
        options.parse_forward(text)
    assert text in caught.value.message and caught.value.status == 125


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("/srv:/data", Share("/srv", "/data")),
        ("/srv:/data:ro", Share("/srv", "/data", readonly=True)),
        ("/srv:/data:rw", Share("/srv", "/data")),
        ("/a:b,c:/data", Share("/a:b,c", "/data")),
        ("/srv:/with space", Share("/srv", "/with space")),
        ("/srv:/data:privileged", Share("/srv", "/data", privileged=True)),
    ],
)
def test_share(text: str, share: Share) -> None:
    assert options.parse_share(text) == share


def test_share_of_a_relative_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("cwd")
    monkeypatch.chdir(directory)
    assert options.parse_share("sub:/data").host == str(directory / "sub")


@pytest.mark.parametrize(
    "text",
    [
        *("", "/srv", "/srv:data", ":/data", "/srv:/a\nb", "/srv:ro"),
        # mistyped words, which would make a directory of that name
        *("/srv:/data:RO", "/srv:/data:ro:privileged", "/srv:/data:", "/srv:/data,ro"),
    ],
)
def test_share_refused(text: str) -> None:
    with pytest.raises(MachineError):
        options.parse_share(text)


def test_environment() -> None:
    host = {b"HERE": b"1", b"RAW": b"\xff"}
    assert options.parse_environment("A=b=c", host) == (b"A", b"b=c")
    assert options.parse_environment("A=", host) == (b"A", b"")
    assert options.parse_environment("RAW", host) == (b"RAW", b"\xff")
    assert options.parse_environment("AWAY", host) is None
    assert options.parse_environment("A=\udcff", host) == (b"A", b"\xff")
    with pytest.raises(MachineError):
        options.parse_environment("=x", host)


@pytest.mark.parametrize(
    ("words", "trace"),
    [
        ((False, None, None), None),
        ((True, None, None), TraceOption()),
        ((False, "network", None), TraceOption("network")),
        ((True, None, "log"), TraceOption("", "log")),
        ((False, "open,read", "log"), TraceOption("open,read", "log")),
    ],
)
def test_trace(words: "tuple[bool, str | None, str | None]", trace: "TraceOption | None") -> None:
    assert options.parse_trace(*words) == trace


@pytest.mark.parametrize("words", [(False, "", None), (True, None, "")])
def test_trace_refused(words: "tuple[bool, str | None, str | None]") -> None:
    with pytest.raises(MachineError) as caught:
        options.parse_trace(*words)
    assert "not empty" in caught.value.message
