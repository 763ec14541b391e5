"""uk.toml read strictly: what it gives, and in which words it is refused."""

import datetime
from pathlib import Path
from typing import Any

import pytest

from ukcc.errors import UkccError
from ukcc.image.files import FileSpec
from ukcc.settings import foreign
from ukcc.settings.document import (
    InitStep,
    KernelWish,
    Settings,
    carried,
    left_out,
    parse_carried,
    parse_settings,
    read_settings,
)
from ukcc.settings.keys import KEYS

WHOLE = """
memory = 256
smp = 2
timeout = 1.5
trace = true
publish = ["6379:6379", "53:53/udp"]
volume = ["data:/data", "/srv:/srv:ro"]
args = ["--port", "6379"]
user = "www-data"

[env]
MODE = "fast"
EMPTY = ""

[files]
"/etc/app.conf" = "conf/app.conf"
"/etc//key" = {source = "/abs/key", mode = "0400", owner = "www-data:daemon"}

[[init]]
run = ["/bin/mkdir", "-p", "/data/x"]

[[init]]
run = ["/bin/fill"]
user = "daemon"
workdir = "/data"
env = ["A=1", "HOME"]
optional = true
"""


def test_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "uk.toml"
    path.write_text(WHOLE)
    assert read_settings(str(path)) == Settings(
        source=str(path),
        values={
            "memory": 256,
            "smp": 2,
            "timeout": 1.5,
            "trace": True,
            "publish": ["6379:6379", "53:53/udp"],
            # relative to the file, not to the working directory
            "volume": [f"{tmp_path}/data:/data", "/srv:/srv:ro"],
            "user": "www-data",
        },
        arguments=("--port", "6379"),
        env=("MODE=fast", "EMPTY="),
        files=(
            FileSpec(f"{tmp_path}/conf/app.conf", "/etc/app.conf"),
            FileSpec("/abs/key", "/etc/key", 0o400, "www-data:daemon"),
        ),
        steps=(
            InitStep(("/bin/mkdir", "-p", "/data/x")),
            InitStep(("/bin/fill",), "daemon", "/data", ("A=1", "HOME"), True),
        ),
    )


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "uk.toml").write_text("")
    settings = read_settings(str(tmp_path / "uk.toml"))
    assert settings[1:] == ({}, None, (), (), None, None)


KNOWN = f"known are {', '.join(sorted([*KEYS, 'args', 'env', 'files', 'init', 'kernel']))}"
WHY_NO_GDB = "it is for one run, which waits for a debugger"
NO_PROGRAM = "run: it takes the absolute path of a program, then its words"
OCTAL = 'it takes octal digits, like "0640"'


@pytest.mark.parametrize(
    ("document", "message", "hint"),
    [
        ({"memry": 1}, "unknown key 'memry'", "did you mean 'memory'?"),
        ({"publsh": []}, "unknown key 'publsh'", "did you mean 'publish'?"),
        ({"trace_filter": "x"}, "unknown key 'trace_filter'", "did you mean 'trace-filter'?"),
        ({"zzzz": 1}, "unknown key 'zzzz'", KNOWN),
        ({"gdb": 1}, "'gdb' has no place in a file of settings", WHY_NO_GDB),
        ({"file": []}, "'file' has no place in a file of settings", "write the table [files]"),
        ({"memory": "1"}, "memory: it takes an integer, not a string", ""),
        ({"memory": True}, "memory: it takes an integer, not a boolean", ""),
        ({"memory": 1.0}, "memory: it takes an integer, not a float", ""),
        ({"trace": 1}, "trace: it takes true or false, not an integer", ""),
        ({"timeout": "1"}, "timeout: it takes a number, not a string", ""),
        ({"timeout": float("inf")}, "timeout: inf is not a number", ""),
        ({"hostname": ["dhcp"]}, "hostname: it takes a string, not an array", ""),
        (
            {"hostname": datetime.date(2026, 1, 1)},
            "hostname: it takes a string, not a date or time",
            "",
        ),
        ({"publish": "80:80"}, "publish: it takes an array of strings, not a string", ""),
        ({"publish": ["a", 80]}, "publish: item 2: it takes a string, not an integer", ""),
        ({"accel": "kvmm"}, "accel: 'kvmm' is not one of auto, kvm, tcg", ""),
        ({"args": "x"}, "args: it takes an array of strings, not a string", ""),
        ({"args": ["\0"]}, "args: item 1: '\\x00' has a NUL in it", ""),
        ({"env": 1}, "env: it takes an array of strings, not an integer", ""),
        ({"env": {"A": 1}}, "env.A: it takes a string, not an integer", ""),
        ({"env": ["=1"]}, "env: '' is not the name of a variable", ""),
        ({"env": {"A=B": "1"}}, "env: 'A=B' is not the name of a variable", ""),
        ({"files": ["a"]}, "files: it takes a table, not an array", ""),
        ({"files": {"etc": "a"}}, "files: etc: the path in the image must begin with /", ""),
        ({"files": {"/a": 1}}, "files: /a: it takes a table, not an integer", ""),
        ({"files": {"/a": {}}}, "files: /a: has no source", 'say source = "…", a file of the host'),
        (
            {"files": {"/a": {"sorce": "x"}}},
            "files: /a: unknown key 'sorce'",
            "did you mean 'source'?",
        ),
        (
            {"files": {"/a": {"source": "x", "mode": 640}}},
            "files: /a: mode: it takes a string, not an integer",
            "",
        ),
        (
            {"files": {"/a": {"source": "x", "mode": "9"}}},
            "files: /a: mode: '9' is not a file mode",
            OCTAL,
        ),
        (
            {"files": {"/a": {"source": "x", "mode": "17777"}}},
            "files: /a: mode: '17777' is not a file mode",
            OCTAL,
        ),
        ({"init": {"run": ["/a"]}}, "init: it takes tables", "write [[init]] above each step"),
        ({"init": [{"run": ["/a"]}, {}]}, f"init: step 2: {NO_PROGRAM}", ""),
        ({"init": [{"run": ["mkdir"]}]}, f"init: step 1: {NO_PROGRAM}", ""),
        ({"init": [{"rum": ["/a"]}]}, "init: step 1: unknown key 'rum'", "did you mean 'run'?"),
        (
            {"init": [{"run": ["/a"], "optional": 1}]},
            "init: step 1: optional: it takes true or false, not an integer",
            "",
        ),
        (
            {"ulimit": ["cpu=1", "cpu=2:1"]},
            "ulimit: 'cpu=2:1': the soft limit is above the hard one",
            "",
        ),
        (
            {"user": ":"},
            "user: ':' is not understood",
            "it takes NAME|UID[:GROUP]",
        ),
        (
            {"init": [{"run": ["/a"], "workdir": "b"}]},
            "init: step 1: workdir: 'b': it takes an absolute directory of the guest",
            "",
        ),
        (
            {"init": [{"run": ["/a"], "workdir": "/b\nuser=root"}]},
            "init: step 1: workdir: '/b\\nuser=root': it takes an absolute directory of the guest",
            "",
        ),
    ],
)
def test_refused(document: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(UkccError) as caught:
        parse_settings(document, "f.toml")
    assert (caught.value.message, caught.value.hint) == (f"f.toml: {message}", hint)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"a = [", "(at end of document)"), (b"a = 1\na = 2\n", "line 2"), (b"a = '\xff'", "UTF-8")],
)
def test_no_toml(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "uk.toml"
    path.write_bytes(data)
    with pytest.raises(UkccError) as caught:
        read_settings(str(path))
    assert caught.value.message.startswith(f"{path}: ") and reason in caught.value.message
    assert "\n" not in caught.value.message


def test_all_files_of_a_disk_are_beside_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "uk.toml"
    path.write_text('disk = ["a.qcow2:/a,backing=b.qcow2,backing=/c", "/d,ro"]\n')
    assert read_settings(str(path)).values["disk"] == [
        f"{tmp_path}/a.qcow2:/a,backing={tmp_path}/b.qcow2,backing=/c",
        "/d,ro",
    ]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "no", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UkccError, match=reason):
            read_settings(str(path))


def test_what_an_image_carries(tmp_path: Path) -> None:
    """All but what is the host's own: paths, files, and variables that are passed on."""
    (tmp_path / "uk.toml").write_text(WHOLE.replace("[env]", "trace-output = 'log'\n[env]"))
    settings = read_settings(str(tmp_path / "uk.toml"))
    document = carried(settings)
    left_out = ("volume", "trace-output", "trace")
    assert set(left_out) <= set(settings.values)
    assert str(tmp_path) not in repr(document)
    again = parse_carried(document, "image", KEYS)
    kept = {k: v for k, v in settings.values.items() if k not in left_out}
    assert again == settings._replace(
        source="image",
        values=kept,
        files=(),
        steps=(settings.steps[0], settings.steps[1]._replace(env=("A=1",))),
    )


@pytest.mark.parametrize(
    "document",
    [
        {"volume": ["/:/host"]},
        {"trace-output": "/etc/passwd"},
        {"trace": True},
        {"accel": "kvm"},
        {"files": {"/x": "/etc/shadow"}},
        {"env": ["SECRET"]},
        {"init": [{"run": ["/a"], "env": ["SECRET"]}]},
        {"memory": 1 << 40},
        {"smp": 100_000},
    ],
)
def test_an_image_cannot_ask_for_what_is_the_hosts(document: dict[str, Any]) -> None:
    parse_settings(document, "file")
    with pytest.raises(UkccError, match="an image cannot"):
        parse_carried(document, "image", KEYS)


@pytest.mark.parametrize(
    ("key", "allowed", "refused"),
    [
        ("publish", ["8080:80", "127.0.0.1:53:53/udp"], "0.0.0.0:8080:80"),
        ("publish", [], "192.0.2.1:80:80"),
        ("publish", [], "[::]:80:80"),
        ("publish", [], ":80:80"),
        ("net", ["user,mtu=1400,host=no", "none"], "bridge=br0"),
        ("net", [], "tap=tap0,ip=dhcp"),
        ("net", [], "user,host=yes"),
        ("net", [], "user,mtu=1400,host=yes"),
        ("vsock", None, 7),
        ("name", None, "db"),
        ("qemu-user", None, "root"),
        ("trace-filter", None, "openat"),
    ],
)
def test_an_image_cannot_reach_the_host_unless_the_user_says_so(
    key: str, allowed: "list[str] | None", refused: Any
) -> None:
    """A link leaves it out, a run refuses it; what the user says himself takes its place."""
    wanted = refused if allowed is None else [*allowed, refused]
    document = {key: wanted, "hostname": "kept"}
    assert carried(parse_settings(document, "file")) == {"hostname": "kept"}
    with pytest.raises(UkccError) as caught:
        parse_carried(document, "image", KEYS)
    assert caught.value.message.startswith(f"image: {key}: an image cannot ")
    assert caught.value.message.endswith(f" ({refused!r})")
    assert f"--{key}" in caught.value.hint and "--no-config" in caught.value.hint
    assert parse_carried(document, "image", KEYS, {key}).values == {"hostname": "kept"}
    if allowed:
        fine = {key: allowed}
        assert carried(parse_settings(fine, "file")) == fine
        assert parse_carried(fine, "image", KEYS).values == fine


def test_an_image_opens_no_more_than_some_ports() -> None:
    ports = [f"{port}:80" for port in range(8000, 8065)]
    assert carried(parse_settings({"publish": ports}, "file")) == {}
    with pytest.raises(UkccError, match="image: publish: an image cannot open a port"):
        parse_carried({"publish": ports}, "image", KEYS)
    assert parse_carried({"publish": ports[1:]}, "image", KEYS).values == {"publish": ports[1:]}


def test_an_image_asks_for_what_the_host_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "host_memory_mib", lambda: 8000)
    monkeypatch.setattr(foreign, "host_cpus", lambda: 2)
    assert parse_carried({"memory": 8000, "smp": 4}, "image", KEYS).values["smp"] == 4
    for key, value in (("memory", 8001), ("smp", 5)):
        with pytest.raises(
            UkccError, match=f"image: {key}: an image cannot ask for more .*{value}"
        ):
            parse_carried({key: value}, "image", KEYS)
    monkeypatch.setattr(foreign, "host_cpus", lambda: 16)
    assert parse_carried({"smp": 16}, "image", KEYS).values["smp"] == 16


def test_what_fits_another_host_is_carried() -> None:
    """Memory and CPUs are compared with what the host has that runs the image."""
    wanted = {"memory": 1 << 40, "smp": 100_000}
    assert carried(parse_settings(wanted, "file")) == wanted


KERNEL_TABLE = {"require": ["disk"], "forbid": ["inet6"], "class": "speed"}


def test_the_kernel_of_a_file() -> None:
    options = ["CONFIG_HZ_1000=y"]
    found = parse_settings({"kernel": {**KERNEL_TABLE, "options": options}}, "f.toml").kernel
    assert found == KernelWish(("disk",), ("inet6",), ("CONFIG_HZ_1000=y",), "speed")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "kernel: it takes a table, not an array"),
        ({"class": "tiny"}, "kernel: class: 'tiny' is not one of general, auto, size, speed"),
        ({"require": "disk"}, "kernel: require: it takes an array of strings, not a string"),
        ({"reqire": []}, "kernel: unknown key 'reqire'"),
    ],
)
def test_a_kernel_that_is_refused(table: Any, message: str) -> None:
    with pytest.raises(UkccError) as caught:
        parse_settings({"kernel": table}, "f.toml")
    assert caught.value.message == f"f.toml: {message}"


def test_an_image_carries_features_of_its_kernel_but_no_options() -> None:
    """Options like CONFIG_INITRAMFS_SOURCE put files of the host into a kernel."""
    options = ['CONFIG_INITRAMFS_SOURCE="/etc/shadow"']
    settings = parse_settings({"kernel": {**KERNEL_TABLE, "options": options}}, "f.toml")
    assert carried(settings) == {"kernel": KERNEL_TABLE}
    assert left_out(settings) == ["kernel.options"]
    assert parse_carried(carried(settings), "image", KEYS).kernel == settings.kernel._replace(
        options=None
    )
    with pytest.raises(UkccError, match="an image cannot choose options of its kernel"):
        parse_carried({"kernel": {"options": options}}, "image", KEYS)
