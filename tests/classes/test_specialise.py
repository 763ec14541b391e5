"""`ukcc specialise`, from an image to a machine that runs with the kernel that was made for it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ukcc.cli.configured import settings_of
from ukcc.errors import UkccError
from ukcc.progress import Silent
from ukcc.specialise import features, make
from ukcc.specialise.features import FeatureWish
from ukcc.specialise.program import general_kernel, read_program
from ukcc.sysroot.store import default_store

pytest_plugins = ["support.class_kernels"]

BIN = Path(sys.executable).parent
FACTOR = float(os.environ.get("UKCC_TEST_TIMEOUT_FACTOR", "1"))

HELLO = '#include <stdio.h>\nint main(void) { puts("hello, world"); return 42; }\n'

# The call has no row of its own but `locks`; the program needs nothing else.
LOCKS = """
#include <stdio.h>
#include <sys/file.h>
int main(void) { printf("%d\\n", flock(0, LOCK_SH)); return 0; }
"""

# Which call it makes is in the hands of who starts it.
ANY_CALL = """
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) { return syscall(atoi(argv[argc - 1])) < 0; }
"""


def linked(directory: Path, source: str, **environment: str) -> Path:
    (directory / "app.c").write_text(source)
    subprocess.run(
        [BIN / "uk-gcc", "-O2", "-static", "app.c", "-o", "app"],
        cwd=directory,
        env={**os.environ, **environment},
        check=True,
    )
    return directory / "app"


def ukcc(*words: "str | Path", status: int = 0) -> str:
    done = subprocess.run(
        [BIN / "ukcc", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1800 * FACTOR,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == status
    return done.stdout + done.stderr


@pytest.fixture
def small(class_tree: Path, tmp_path: Path) -> Path:
    """A static hello with a kernel of its own."""
    image = linked(tmp_path, HELLO)
    ukcc("specialise", "-q", image)
    return image


def test_a_program_has_a_kernel_of_its_own_in_both_lives(class_tree: Path, tmp_path: Path) -> None:
    image = linked(tmp_path, HELLO)
    whole = image.stat().st_size
    report = json.loads(ukcc("specialise", "-q", "--json", image, "-o", tmp_path / "small"))
    assert image.stat().st_size == whole
    assert report["bytes"]["image"] == (tmp_path / "small").stat().st_size < whole / 2
    assert report["features"] == {} and report["goal"] == "size"
    assert "write" in report["calls"] and "epoll_wait" not in report["calls"]
    assert "hello, world" in ukcc("run", tmp_path / "small", status=42)
    process = subprocess.run([tmp_path / "small"], capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (42, "hello, world\n")
    assert report["kernel"] in ukcc("inspect", tmp_path / "small")
    linux = json.loads(ukcc("inspect", "--sources", "--json", tmp_path / "small"))["parts"][0]
    assert linux["made"] == report["kernel"]
    assert "CONFIG_USED_SYSCALLS_ONLY=y" in Path(linux["config_place"]).read_text()


# What its own file is in the machine, as far as it can tell.
ITSELF = r"""
#include <stdio.h>
#include <string.h>
int main(void)
{
	char last[8] = "";
	FILE *file = fopen("/proc/self/exe", "r");
	fseek(file, -7, SEEK_END);
	fread(last, 1, 7, file);
	printf("%ld %s\n", ftell(file), last);
	return 42;
}
"""


def test_what_is_done_to_the_file_later_reaches_a_small_machine(
    class_tree: Path, tmp_path: Path
) -> None:
    """Its root is a ramfs, which has no holes."""
    image = linked(tmp_path, ITSELF)
    ukcc("specialise", "-q", image)
    subprocess.run(["strip", image], check=True)
    with image.open("ab") as stream:
        stream.write(b"payload")
    said = f"{image.stat().st_size} payload\n"
    process = subprocess.run([image], capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (42, said)
    assert said in ukcc("run", image, status=42)


def test_the_same_needs_give_the_same_kernel(small: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    other = linked(tmp_path / "more", HELLO.replace("hello", "good day"))
    report = json.loads(ukcc("specialise", "-q", "--json", "--ready", other))
    assert report["kernel"] in ukcc("inspect", small)
    assert "good day, world" in ukcc("run", other, status=42)


def test_two_at_once(class_tree: Path, tmp_path: Path) -> None:
    image = linked(tmp_path, HELLO.replace("puts", "getchar(); puts"))
    report = json.loads(ukcc("specialise", "-q", "--json", image, "-o", tmp_path / "first"))
    shutil.rmtree(make.made_directory(default_store(), report["kernel"]))
    words = [BIN / "ukcc", "specialise", "-q", image, "-o"]
    both = [subprocess.Popen([*words, tmp_path / name]) for name in ("one", "two")]
    assert [process.wait(1800 * FACTOR) for process in both] == [0, 0]
    first = (tmp_path / "first").read_bytes()
    assert first == (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_link_takes_the_kernel_that_is_there(small: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    log = tmp_path / "log"
    image = linked(tmp_path / "again", HELLO, UKCC_KERNEL="auto", UKCC_LOG=str(log))
    assert image.read_bytes()[64:] != b"" and image.stat().st_size == small.stat().st_size
    assert " kernel: " in log.read_text()
    assert "hello, world" in ukcc("run", image, status=42)


def test_a_link_for_which_no_kernel_is_there_keeps_the_general_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    (tmp_path / "home").mkdir()
    image = linked(tmp_path, LOCKS.replace("flock", "flock(0, LOCK_UN), flock"), UKCC_LOG=str(log))
    general = image.stat().st_size
    (tmp_path / "uk.toml").write_text('[kernel]\nclass = "auto"\nrequire = ["mce", "fanotify"]\n')
    image = linked(tmp_path, LOCKS, UKCC_CONFIG="uk.toml", UKCC_LOG=str(log))
    assert abs(image.stat().st_size - general) < 8192
    assert "no kernel in the store has everything it needs" in log.read_text()


def test_a_program_of_which_a_call_cannot_be_told_keeps_every_call(
    class_tree: Path, tmp_path: Path
) -> None:
    image = linked(tmp_path, ANY_CALL)
    report = json.loads(ukcc("specialise", "-n", "--json", image))
    assert report["calls"] is None
    assert any("syscall" in place for place in report["unknown"])
    said = ukcc("specialise", "--strict", image, status=1)
    assert "every call is kept" in said and "syscall" in said


def test_a_row_of_the_table_that_is_missing_is_found_out(class_tree: Path, tmp_path: Path) -> None:
    image = linked(tmp_path, LOCKS)
    rows = features.table()
    broken = features.Table(tuple(r for r in rows.feature if r.name != "locks"), rows.glibc)
    program = read_program(image, settings_of(str(image), ""), FeatureWish(), rows=broken)
    store = default_store()
    with pytest.raises(UkccError, match="would lack system calls that the program makes: flock"):
        make.make(program.request, general_kernel(store, program.needs), store, Silent())


def test_strict_kills_who_makes_a_call_that_was_left_out(class_tree: Path, tmp_path: Path) -> None:
    """The proof sees no call that is made of data at run time: here a program written for that."""
    source = r"""
    #include <stdio.h>
    #include <string.h>
    #include <sys/mman.h>
    static const unsigned char code[] = {0xb8, 110, 0, 0, 0, 0x0f, 0x05, 0xc3}; /* getppid */
    int main(void)
    {
        void *page = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memcpy(page, code, sizeof(code));
        printf("%d\n", ((int (*)(void))page)());
        return 0;
    }
    """
    image = linked(tmp_path, source)
    ukcc("specialise", "-q", "--strict", image)
    said = ukcc("run", image, status=128 + 31)
    assert "system call getppid (110) was removed from this kernel" in said
