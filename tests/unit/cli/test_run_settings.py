"""`ukcc run` with files of settings, up to the options that the machine is made of."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from support.image_samples import SAMPLES, make_sysroot, program

from ukcc import cli
from ukcc.cli import dry_run
from ukcc.cli.inspect import command as inspect_command
from ukcc.cli.run import command as run_command
from ukcc.cli.snapshot import command as snapshot_command
from ukcc.image.pack import pack_image
from ukcc.settings.limits import Limit
from ukcc.vm import launch
from ukcc.vm.options import RunOptions

Run = Callable[..., RunOptions]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image, without settings of its own."""
    return make_image(tmp_path)


def make_image(directory: Path, **settings: Any) -> Path:
    make_sysroot(directory / "sysroot")
    (directory / "p").write_bytes(program(SAMPLES["static at 4 MiB"]))
    pack_image(
        str(directory / "p"),
        str(directory / "app"),
        sysroot=str(directory / "sysroot"),
        link_command=["ukcc"],
        name="app",
        settings=settings,
    )
    return directory / "app"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `ukcc run WORDS`; returns the options that the machine would be made of."""
    seen: list[RunOptions] = []

    def note(options: RunOptions) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr(launch, "run", note)

    def run_words(*words: object) -> RunOptions:
        with pytest.raises(SystemExit) as caught:
            cli.main(["run", *map(str, words)])
        assert caught.value.code == 0
        return seen.pop()

    return run_words


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs `ukcc run WORDS`, which fails with status 125; returns the line."""

    def run_words(*words: object) -> str:
        with pytest.raises(SystemExit) as caught:
            cli.main(["run", *map(str, words)])
        assert caught.value.code == 125
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1
        return said.err

    return run_words


def test_a_file_beside_the_image(run: Run, image: Path) -> None:
    (image.parent / "uk.toml").write_text(
        'memory = 99\nsmp = 2\nargs = ["a", ""]\nvolume = ["data:/data"]\nulimit = ["core=0"]\n'
        'env = ["A=1", "B=1"]\npublish = ["8080:80"]\ntimeout = 3\ntrace = true\n'
    )
    (image.parent / "data").mkdir()
    options = run(image)
    assert (options.memory_mib, options.hardware.cpus, options.timeout) == (99, 2, 3.0)
    assert options.arguments == (b"a", b"")
    assert options.shares[0].host == str(image.parent / "data")
    assert options.environment == ((b"A", b"1"), (b"B", b"1"))
    assert options.forwards[0].host_port == 8080
    assert options.guest.limits == (Limit("core", 0, 0),)
    assert options.trace is not None

    options = run("-m", 50, "-p", "1:2", "-e", "B=2", "--ulimit", "cpu=1:2", image, "z")
    assert (options.memory_mib, options.hardware.cpus) == (50, 2)
    assert options.arguments == (b"z",)
    assert [forward.host_port for forward in options.forwards] == [1]
    assert options.environment == ((b"A", b"1"), (b"B", b"2"))
    assert options.guest.limits == (Limit("cpu", 1, 2),)


def test_which_file(run: Run, tmp_path: Path) -> None:
    image = make_image(tmp_path, memory=70, hostname="own")
    assert (run(image).memory_mib, run(image).guest.hostname) == (70, "own")
    (tmp_path / "uk.toml").write_text("memory = 71\n")
    (tmp_path / "other.toml").write_text("memory = 72\n")
    assert (run(image).memory_mib, run(image).guest.hostname) == (71, "own")
    assert run("--config", tmp_path / "other.toml", image).memory_mib == 72
    assert run("--config", "", image).memory_mib == 70
    options = run("--no-config", image)
    assert (options.memory_mib, options.guest.hostname) == (None, "")


def test_files_of_both(run: Run, image: Path) -> None:
    (image.parent / "uk.toml").write_text('[files]\n"/a" = "x"\n"/b" = "y"\n')
    specs = run("--file", "z:/b", image).guest.files
    assert {spec.target: spec.source for spec in specs} == {
        "/a": str(image.parent / "x"),
        "/b": "z",
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("memory = 'x'", "memory: it takes an integer, not a string"),
        ("publish = ['80']", "publish: '80' is not understood; it takes [ADDR:]"),
        ("smp = 65", "smp: 65: the kernel takes 1 to 64 CPUs"),
        ("timeout = 0", "timeout: 0: it takes a number of seconds above 0"),
        ("ulimit = ['nofiles=1']", "ulimit: 'nofiles=1': no limit has that name; known are as,"),
        ("workdir = 'x'", "workdir: 'x': it takes an absolute directory"),
        ("hostname = '-'", "hostname: '-' is not a host name"),
        ("tz = '../passwd'", "tz: '../passwd': no such time zone here"),
        ("[files]\n'/init' = '.'", "files: /init: this place in the image is taken"),
        ("[[init]]\nrun = ['/a']\nuser = ':'", "init: step 1: user: ':' is not understood"),
    ],
)
def test_a_wrong_value_is_said_with_file_and_key(
    refused: Callable[..., str], image: Path, text: str, line: str
) -> None:
    path = image.parent / "uk.toml"
    path.write_text(text)
    assert refused(image).startswith(f"ukcc: error: {path}: {line}")


def test_a_wrong_option_is_said_as_one(refused: Callable[..., str], image: Path) -> None:
    (image.parent / "uk.toml").write_text("publish = ['1:1']\n")
    assert refused("-p", "80", image).startswith("ukcc: error: -p '80' is not understood")
    assert "--ulimit 'core=2:1': the soft limit" in refused("--ulimit", "core=2:1", image)
    assert refused("--json", image).startswith("ukcc: error: --json says how --dry-run answers")


def test_an_image_that_asks_for_too_much(refused: Callable[..., str], tmp_path: Path) -> None:
    image = make_image(tmp_path, volume=["/:/host"])
    assert ", as linked: volume: an image cannot ask for files of the host" in refused(image)


def test_what_the_user_says_counts_though_an_image_says_it(
    refused: Callable[..., str], run: Run, tmp_path: Path
) -> None:
    """Of a port for everybody: refused from the image, taken from the command line or the file."""
    image = make_image(tmp_path, publish=["0.0.0.0:8080:80"], memory=99)
    line = refused(image)
    assert line == (
        f"ukcc: error: {image}, as linked: publish: an image cannot open a port of the host "
        "other than on loopback, 64 at most ('0.0.0.0:8080:80'); "
        "say --publish yourself, or leave the image's settings aside by --no-config\n"
    )
    options = run("-p", "0.0.0.0:8080:80", image)
    assert [str(f) for f in options.forwards] == ["0.0.0.0:8080:80"]
    assert options.memory_mib == 99
    assert not run("--no-config", image).forwards
    (image.parent / "uk.toml").write_text("publish = ['0.0.0.0:81:80']\n")
    assert [str(f) for f in run(image).forwards] == ["0.0.0.0:81:80"]


def test_the_dry_run_says_who_said_what(
    image: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    would = dry_run.DryRun(("qemu", "-kernel", "a b"), notes=("settings: \x1b",))
    monkeypatch.setattr(dry_run, "dry_run", lambda options: would)
    path = image.parent / "uk.toml"
    path.write_text('memory = 99\n[env]\nA = "1 2"\n')
    with pytest.raises(SystemExit):
        cli.main(["run", "--dry-run", "-e", "B=1", "--smp", "2", str(image), "x"])
    said = capsys.readouterr()
    assert said.out == "qemu -kernel 'a b'\n"
    assert set(said.err.splitlines()) == {
        r"ukcc run: settings: \x1b",
        f"ukcc run: memory: 99 ({path})",
        "ukcc run: smp: 2 (command line)",
        f"ukcc run: env: 'A=1 2' B=1 (command line, {path})",
        "ukcc run: args: x (command line)",
    }
    with pytest.raises(SystemExit):
        cli.main(["run", "--dry-run", "--json", str(image)])
    answer = json.loads(capsys.readouterr().out)
    assert answer["command"] == ["qemu", "-kernel", "a b"]
    assert answer["settings"]["memory"] == {"value": 99, "from": str(path)}
    assert answer["settings"]["accel"] == {"value": "auto", "from": "default"}
    assert answer.keys() == {"command", "settings"}
    # what has to run beside it is not in the VMM's words
    for would, further in (
        (dry_run.DryRun(("qemu",), daemons={"/s": ("d", "x")}), {"daemons": [["d", "x"]]}),
        (dry_run.DryRun(configuration={"boot": 1}), {"configuration": {"boot": 1}}),
    ):
        monkeypatch.setattr(dry_run, "dry_run", lambda options, would=would: would)
        with pytest.raises(SystemExit):
            cli.main(["run", "--dry-run", "--json", str(image)])
        answer = json.loads(capsys.readouterr().out)
        assert answer.pop("settings") and answer.pop("command") == list(would.command)
        assert answer == further


def test_a_link_loads_no_library_of_others(tmp_path: Path) -> None:
    """Checking a file is part of a link."""
    (tmp_path / "uk.toml").write_text("memory = 1\n[files]\n'/x' = 'uk.toml'\n")
    code = (
        "import sys; from ukcc.settings.link import read_carried\n"
        "read_carried(sys.argv[1], 'p')\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "uk.toml")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])},
    )
    assert not set(done.stdout.split()) & {"click", "plumbum", "rich", "elftools", "capstone"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_not_obeyed(
    run: Run, refused: Callable[..., str], image: Path
) -> None:
    """In /tmp, anybody may put one beside an image; it names directories of the host."""
    beside = image.parent / "uk.toml"
    beside.write_text('volume = ["/etc:/data"]\n')
    os.chown(beside, 65534, 65534)
    assert f"{beside}: it belongs to another user" in refused(image)
    assert run("--config", beside, image).shares[0].host == "/etc"
    assert run("--config", "", image).shares == ()
    os.chown(beside, 0, 0)
    beside.chmod(0o666)
    assert f"--config {beside}" in refused(image)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_file_that_was_looked_at_is_the_one_that_is_read(
    run: Run, refused: Callable[..., str], image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others can exchange it in between; and who makes a link chooses which of our files it is."""
    beside, ours = image.parent / "uk.toml", image.parent / "ours.toml"
    ours.write_text("memory = 64\n")
    beside.symlink_to(ours)
    assert run(image).memory_mib == 64
    os.chown(beside, 65534, 65534, follow_symlinks=False)
    assert f"{beside}: it belongs to another user" in refused(image)
    beside.unlink()
    ours.rename(beside)
    theirs = image.parent / "theirs.toml"
    theirs.write_text('volume = ["/etc:/data"]\n')
    os.chown(theirs, 65534, 65534)
    lstat = Path.lstat

    def exchanged(path: Path) -> os.stat_result:
        found = lstat(path)
        if path == beside:
            theirs.replace(beside)
        return found

    monkeypatch.setattr(Path, "lstat", exchanged)
    assert run(image).shares == ()


def test_a_file_that_the_guest_may_have_written_is_not_obeyed(
    run: Run, refused: Callable[..., str], image: Path
) -> None:
    """It names files and disks of the host; the guest of the run before would have chosen them."""
    place = image.parent
    beside = place / "uk.toml"
    (place / "data").mkdir()
    beside.write_text("memory = 64\n")
    for share in (f"{place}:/src", f"{place.parent}:/src"):
        said = refused("-v", share, image)
        assert f"{beside}: it lies in -v" in said and "the guest may have written it" in said
        assert run("-v", f"{share}:ro", image).memory_mib == 64
        assert run("-v", share, "--config", beside, image).memory_mib == 64
        assert run("-v", share, "--config", "", image).memory_mib is None
    assert run("-v", f"{place}/data:/data", image).memory_mib == 64
    # also if it says so itself, or is a link into a share
    beside.write_text('volume = [".:/src"]\n')
    assert "the guest may have written it" in refused(image)
    (place / "data" / "other.toml").write_text("memory = 64\n")
    beside.unlink()
    beside.symlink_to("data/other.toml")
    assert "the guest may have written it" in refused("-v", f"{place}/data:/data", image)


# Of `ukcc run`, what says nothing of the machine itself.
_VALID = {"workdir": "/x", "ulimit": "core=0", "tz": "UTC", "files": "a:/a"}
_OF_THE_RUN = {"from_", "publish", "timeout", "detach", "name", "qemu_user", "help"}


@pytest.mark.parametrize(
    "option",
    [o for o in run_command.params if isinstance(o, click.Option) and o.name not in _OF_THE_RUN],
    ids=lambda option: option.opts[-1],
)
def test_what_a_snapshot_cannot_change_any_more(
    refused: Callable[..., str], tmp_path: Path, option: click.Option
) -> None:
    """The way out is one that exists: `ukcc snapshot` does not take every option of a run."""
    value = [] if option.is_flag else [_VALID.get(str(option.name), "1")]
    if isinstance(option.type, click.Choice):
        value = [str(option.type.choices[-1])]
    said = refused("--from", tmp_path, option.opts[-1], *value)
    taken = {o.name for o in snapshot_command.params} - {"publish", "volume", "disk"}
    assert said.startswith(f"ukcc: error: --from: {option.opts[0]} ")
    assert ("`ukcc snapshot`" in said) == (option.name in taken)
    assert "`ukcc snapshot`" in said or "run the image without --from" in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "128 MiB, the default, more than twice the "),
        ({"memory": 64}, "64 MiB, as the image's settings say"),
    ],
)
def test_inspect_says_what_memory_a_run_would_have(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    image = make_image(tmp_path, **settings)
    shown = CliRunner().invoke(inspect_command, [str(image)])
    assert f"MiB; {said}" in shown.output


def test_help_has_every_status_and_every_word_of_a_disk() -> None:
    """It lacked 123, 126 and 127, and format= and backing=."""
    text = CliRunner().invoke(run_command, ["--help"]).output
    documented = (ROOT / "docs" / "run.md").read_text().partition("## Exit status")[2]
    rows = documented.partition("\n## ")[0].splitlines()
    numbers = {n for row in rows for n in re.findall(r"\b12[3-7]\b", row.partition("| ")[2][:9])}
    assert numbers == {"123", "124", "125", "126", "127"}
    for number in numbers:
        assert re.search(rf"^ +{number}  ", text, re.M), number
    for word in ("ro", "create=", "cache=", "format=raw|qcow2", "backing="):
        assert f"[,{word}" in text
