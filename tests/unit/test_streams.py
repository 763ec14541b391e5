"""`ukcc` with standard streams that are closed or full, and without a working directory."""

import itertools
import os
import subprocess
from pathlib import Path

import pytest

from ukcc import paths, proc

# Says which descriptors it has been given, and what the next one is that it opens.
LOOK = """
import os, sys
from ukcc.light.tool import hold_streams
hold_streams(inheritable=sys.argv[1] == "yes")
fd = os.open("/etc/passwd", os.O_RDONLY)
names = [os.readlink(f"/proc/self/fd/{n}") for n in range(3)]
kept = [str(int(os.get_inheritable(n))) for n in range(3)]
os.write(int(sys.argv[2]), f"{fd} {' '.join(names)} {''.join(kept)}".encode())
"""

CLOSED = [
    closed
    for count in range(1, 4)
    for closed in itertools.combinations(("<&-", ">&-", "2>&-"), count)
]


def shell(words: str, *argv: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """The command, by a shell that redirects its streams."""
    return subprocess.run(
        ["sh", "-c", f'"$@" {words}', "sh", *argv],
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        check=False,
    )


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("inherited", ["yes", "no"])
def test_no_file_of_ours_becomes_a_closed_stream(
    closed: tuple[str, ...], inherited: str, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    words = f"3>{told} {' '.join(closed)}"
    done = shell(words, proc.UKCC[0], "-c", LOOK, inherited, "3")
    assert done.returncode == 0, done.stderr
    fd, *names, kept = told.read_text().split()
    assert int(fd) > 3
    for number, word in enumerate(("<&-", ">&-", "2>&-")):
        if word in closed:
            assert names[number] == os.devnull
            assert kept[number] == ("1" if inherited == "yes" else "0")


@pytest.mark.parametrize("closed", CLOSED)
def test_a_command_with_closed_streams(closed: tuple[str, ...], tmp_path: Path) -> None:
    """Nothing of what it says goes where something else was meant to go."""
    home = {"UKCC_HOME": str(tmp_path)}
    done = shell(" ".join(closed), *proc.UKCC, "ps", **home)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("NAME") == (">&-" not in closed)
    failed = shell(" ".join(closed), *proc.UKCC, "run", str(tmp_path / "nothing"), **home)
    assert (failed.returncode, failed.stdout) == (125, "")
    assert bool(failed.stderr) == ("2>&-" not in closed)


@pytest.mark.parametrize("words", [["ps"], ["--help"], ["--version"], ["run", "--help"]])
def test_a_full_standard_output(words: list[str]) -> None:
    done = shell(">/dev/full", *proc.UKCC, *words)
    assert done.returncode == 1
    assert done.stderr == "ukcc: error: standard output: No space left on device\n"


def test_a_full_standard_error(tmp_path: Path) -> None:
    done = shell("2>/dev/full", *proc.UKCC, "run", str(tmp_path / "nothing"))
    assert (done.returncode, done.stdout) == (125, "")


@pytest.mark.parametrize("words", [["ps"], ["--help"], ["port", "list"]])
def test_a_reader_that_has_gone(words: list[str]) -> None:
    """The status of a program that SIGPIPE has ended; and not a word."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*proc.UKCC, *words], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes a user whom nobody knows")
def test_a_user_without_a_home(tmp_path: Path) -> None:
    """Nothing is looked for, or put, into the working directory."""
    code = "import os, sys; os.setuid(1234567); from ukcc import paths; print(paths.store())"
    done = subprocess.run(
        [proc.UKCC[0], "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(paths.__file__).parents[1])},
        check=False,
    )
    assert done.stdout == "/proc/nonexistent/.local/share/ukcc\n", done.stderr


def test_paths_without_a_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert paths.absolute("/a/../b") == "/b" and paths.absolute("../a") == "../a"
    assert paths.real("../a") == "../a"
    assert not Path(paths.working_directory()).exists()
    assert proc.find("sh").startswith("/")
    assert proc.output(["echo", "runs"]) == "runs\n"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["ps"], 0, ""),
        (["run", "-v", "data:/data", "/nothing"], 125, "-v data: the working directory has been"),
        (["run", "--disk", "d.img", "/nothing"], 125, "--disk d.img: the working directory has"),
        (["run", "-v", "/:/data", "../nothing"], 125, "../nothing: No such file or directory"),
        (["pack", "../nothing", "-o", "../image"], 1, ""),
    ],
)
def test_a_command_without_a_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], status: int, said: str
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    home = {
        **os.environ,
        "UKCC_HOME": str(tmp_path),
        "PYTHONPATH": str(Path(paths.__file__).parents[1]),
    }
    done = subprocess.run(
        [*proc.UKCC, *words], capture_output=True, text=True, env=home, check=False
    )
    assert done.returncode == status, done.stderr
    assert said in done.stderr and "bug" not in done.stderr
