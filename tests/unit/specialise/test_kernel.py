"""A class of kernels: built once, linked for each list of calls; the table from a list."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from ukcc.errors import UkccError
from ukcc.progress import Silent, Step
from ukcc.specialise import calls, kernel
from ukcc.specialise import make as made
from ukcc.specialise.features import Choice
from ukcc.sysroot import fragments
from ukcc.sysroot.store import Store, held_or_refuse, held_with_children

TABLE = """\
# <number> <abi> <name> <entry point>
0\tcommon\tread\t\t\tsys_read
1\tcommon\twrite\t\t\tsys_write
134\t64\tuselib
231\tcommon\texit_group\t\tsys_exit_group\t\t-\t\t\tnoreturn
512\tx32\trt_sigaction\t\tcompat_sys_rt_sigaction
"""

CONFIG = """\
CONFIG_EXPERT=y
# CONFIG_USED_SYSCALLS_ONLY is not set
CONFIG_VIRTIO=y
"""


# What a class is made of, as far as its name has it.
INPUTS = SimpleNamespace(part_digest=lambda name: "c" * 16, linux=SimpleNamespace(version="6"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    table = tmp_path / "linux" / calls.TABLE
    table.parent.mkdir(parents=True)
    table.write_text(TABLE)
    return tmp_path / "linux"


@pytest.fixture
def wanted(tmp_path: Path) -> list[Path]:
    fragment = tmp_path / "hello.config"
    fragment.write_text("CONFIG_EXPERT=y\n")
    return [fragment]


class Make:
    """In place of kbuild: vmlinux is its configuration; counts, and finds overlaps."""

    def __init__(self) -> None:
        self.configured = 0
        self.linked = 0
        self.fails = False
        self._busy = threading.Lock()

    def configure(self, source: Path, wanted: "list[Path]", log: Path, objects: Path) -> None:
        self.configured += 1
        (objects / ".config").write_text(CONFIG)

    def link(self, source: Path, objects: Path, log: Path, jobs: int, step: Step) -> None:
        assert self._busy.acquire(blocking=False), "two makes in one tree"
        try:
            self.linked += 1
            (objects / "vmlinux").write_text("unfinished")
            threading.Event().wait(0.05)  # a make that another one would meet
            if self.fails:
                raise UkccError("make failed with status 2")
            (objects / "vmlinux").write_text((objects / ".config").read_text())
        finally:
            self._busy.release()


def split(vmlinux: Path, out: Path, *, config: Path, source_version: str) -> None:
    (out / "kernel.bin").write_bytes(b"\x7f" * 100)
    (out / "kernel.json").write_text(f'{{"source": "{source_version}"}}')


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    made = Make()
    for name in ("configure", "link"):
        monkeypatch.setattr(kernel.linux, name, getattr(made, name))
    monkeypatch.setattr(kernel, "split_kernel", split)
    return made


def test_the_calls_of_a_table_are_those_of_64_bits() -> None:
    assert calls.entries(TABLE).keys() == {"read", "write", "uselib", "exit_group"}


def test_a_list_of_calls_is_sorted_and_has_each_once(source: Path) -> None:
    assert calls.check(["write", "read", "write"], source) == ("read", "write")


def test_a_call_that_no_kernel_has_is_named(source: Path) -> None:
    with pytest.raises(UkccError, match=r"no system call named raed, rite$"):
        calls.check(["read", "rite", "raed"], source)


@pytest.mark.parametrize("strict", [True, False])
def test_a_configuration_with_a_list_and_then_without(strict: bool) -> None:
    limited = calls.with_calls(CONFIG, ("read", "write"), strict=strict)
    values = fragments.parse(limited)
    assert values["CONFIG_USED_SYSCALLS"] == '"read write"'
    assert values["CONFIG_USED_SYSCALLS_ONLY"] == "y"
    assert values["CONFIG_USED_SYSCALLS_STRICT"] == ("y" if strict else "n")
    assert values["CONFIG_VIRTIO"] == "y"
    assert limited.count("USED_SYSCALLS") == 3

    again = fragments.parse(calls.with_calls(limited, None, strict=False))
    assert again == fragments.parse(CONFIG)


def test_a_configuration_that_did_not_take_the_list() -> None:
    taken = calls.with_calls(CONFIG, ("read",), strict=True)
    calls.check_config(taken, ("read",), strict=True, class_name="hello")
    calls.check_config(CONFIG, None, strict=False, class_name="hello")
    for config in (CONFIG, taken.replace("read", "write"), taken.replace("STRICT=y", "STRICT=n")):
        with pytest.raises(UkccError, match="the class hello cannot have a list"):
            calls.check_config(config, ("read",), strict=True, class_name="hello")


def test_a_class_is_built_once(
    make: Make, source: Path, wanted: "list[Path]", tmp_path: Path
) -> None:
    for _ in range(2):
        kernel.build_class(source, wanted, tmp_path / "class", Silent())
    assert (make.configured, make.linked) == (1, 1)
    wanted[0].write_text("CONFIG_EXPERT=y\nCONFIG_NET=y\n")
    kernel.build_class(source, wanted, tmp_path / "class", Silent())
    assert (make.configured, make.linked) == (2, 2)


def test_a_class_that_was_not_finished_is_none(
    make: Make, source: Path, wanted: "list[Path]", tmp_path: Path
) -> None:
    make.fails = True
    with pytest.raises(UkccError, match="status 2"):
        kernel.build_class(source, wanted, tmp_path / "class", Silent())
    with pytest.raises(UkccError, match="not a class of kernels"):
        kernel.relink(tmp_path / "class", [], tmp_path / "out", Silent(), source_version="6")
    make.fails = False
    kernel.build_class(source, wanted, tmp_path / "class", Silent())
    assert make.linked == 2


def test_a_directory_that_is_no_class_stays_as_it_is(make: Make, tmp_path: Path) -> None:
    for tree in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(UkccError, match="not a class of kernels"):
            kernel.relink(tree, [], tmp_path / "out", Silent(), source_version="6")
    assert not list(tmp_path.iterdir())


def test_the_order_of_fragments_counts(make: Make, source: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.config", tmp_path / "b.config"
    first.write_text("CONFIG_A=y\n")
    second.write_text("# CONFIG_A is not set\n")
    kernel.build_class(source, [first, second], tmp_path / "class", Silent())
    kernel.build_class(source, [second, first], tmp_path / "class", Silent())
    assert make.configured == 2


def test_kernels_of_one_class_differ_by_their_calls_alone(
    make: Make, source: Path, wanted: "list[Path]", tmp_path: Path
) -> None:
    kernel.build_class(source, wanted, tmp_path / "class", Silent())
    tree, silent = tmp_path / "class", Silent()
    strict = kernel.relink(
        tree, ["write"], tmp_path / "a", silent, source_version="6.1", strict=True
    )
    whole = kernel.relink(tree, None, tmp_path / "b", silent, source_version="6.1")
    assert 'CONFIG_USED_SYSCALLS="write"' in (strict.directory / "vmlinux").read_text()
    assert (whole.directory / "vmlinux").read_text() == CONFIG.replace(
        "# CONFIG_USED_SYSCALLS_ONLY is not set\nCONFIG_VIRTIO=y\n",
        "CONFIG_VIRTIO=y\n# CONFIG_USED_SYSCALLS_ONLY is not set\n",
    )
    assert (strict.size, strict.facts) == (100, {"source": "6.1"})


def test_links_at_once_take_turns_and_each_gets_its_own_kernel(
    make: Make, source: Path, wanted: "list[Path]", tmp_path: Path
) -> None:
    kernel.build_class(source, wanted, tmp_path / "class", Silent())
    names = ("read", "write", "exit_group")
    failures: list[BaseException] = []

    def link(name: str) -> None:
        try:
            kernel.relink(tmp_path / "class", [name], tmp_path / name, Silent(), source_version="6")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=link, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for name in names:
        assert f'CONFIG_USED_SYSCALLS="{name}"' in (tmp_path / name / "vmlinux").read_text()


def test_a_link_that_fails_leaves_nothing_and_overwrites_nothing(
    make: Make, source: Path, wanted: "list[Path]", tmp_path: Path
) -> None:
    kernel.build_class(source, wanted, tmp_path / "class", Silent())
    before = set(tmp_path.iterdir())
    make.fails = True
    with pytest.raises(UkccError, match="status 2"):
        kernel.relink(tmp_path / "class", [], tmp_path / "out", Silent(), source_version="6")
    assert set(tmp_path.iterdir()) == before
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UkccError, match="is there already"):
        kernel.relink(tmp_path / "class", [], tmp_path / "out", Silent(), source_version="6")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "the disk is full: "), (errno.EROFS, "read-only file system; set UKCC_HOME")],
)
def test_a_store_that_cannot_be_written_is_one_line(
    number: int,
    said: str,
    make: Make,
    source: Path,
    wanted: "list[Path]",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    kernel.build_class(source, wanted, tmp_path / "class", Silent())
    monkeypatch.setattr(kernel.shutil, "copy2", fail)
    monkeypatch.setattr(made.inputs, "gather", lambda *_: INPUTS)
    monkeypatch.setattr(made, "patched_source", lambda *_: source)
    monkeypatch.setattr(made, "class_directory", lambda *_: tmp_path / "class")
    monkeypatch.setattr(made, "class_fragments", lambda *_: wanted)
    request = made.KernelRequest(Choice("size", {}, {}), ("write",), ())
    store = Store(tmp_path / "store")
    with pytest.raises(UkccError) as caught:
        made.make(request, tmp_path / "vmlinux", store, Silent())
    assert said in caught.value.line("ukcc")
    assert not [path for path in made.made_directory(store).iterdir() if path.is_dir()]


def test_a_kernel_that_is_not_whole_is_made_again(
    make: Make,
    source: Path,
    wanted: "list[Path]",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(made.inputs, "gather", lambda *_: INPUTS)
    monkeypatch.setattr(made.tools, "check", lambda: None)
    monkeypatch.setattr(made, "patched_source", lambda *_: source)
    monkeypatch.setattr(made, "class_fragments", lambda *_: wanted)
    monkeypatch.setattr(made, "_check_calls", lambda *_: None)
    request = made.KernelRequest(Choice("size", {}, {}), ("write",), ())
    store = Store(tmp_path / "store")

    def kernel_of_request() -> made.Made:
        return made.make(request, tmp_path / "vmlinux", store, Silent())

    first = kernel_of_request()
    assert first.fresh and not kernel_of_request().fresh
    (first.directory / "kernel.bin").write_bytes(b"\x7f" * 99)
    again = kernel_of_request()
    assert again.fresh and again.id == first.id and again.size == 100
    assert [path.name for path in made.made_directory(store).iterdir()] == [first.id]


def test_what_a_killed_link_left_goes_by_the_next_one(
    make: Make, source: Path, wanted: "list[Path]", tmp_path: Path
) -> None:
    kernel.build_class(source, wanted, tmp_path / "class", Silent())
    (tmp_path / ".out-abcd1234" / "out").mkdir(parents=True)
    (tmp_path / ".other-abcd1234").mkdir()
    kernel.relink(tmp_path / "class", [], tmp_path / "out", Silent(), source_version="6")
    assert {path.name for path in tmp_path.glob(".*")} == {".other-abcd1234"}


# A ukcc with a program that goes on where it is killed.
_HOLDER = """
import contextlib, sys
from pathlib import Path
from ukcc import proc
from ukcc.sysroot.store import held_with_children
with held_with_children(Path(sys.argv[1]), contextlib.nullcontext()):
    proc.run(["sh", "-c", "echo $$; exec sleep 3600"], on_line=lambda line: print(line, flush=True))
"""


def test_a_make_whose_ukcc_was_killed_keeps_its_class(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    words = [sys.executable, "-c", _HOLDER, lock]
    holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    left = int(holder.stdout.readline())
    try:
        holder.kill()
        holder.wait()
        with pytest.raises(UkccError, match="in use"), held_or_refuse(FileLock(lock), "x"):
            pass
    finally:
        os.kill(left, signal.SIGKILL)
    with held_with_children(lock, contextlib.nullcontext()):
        pass  # at the latest when the kernel has closed all that the killed one had


def test_the_name_of_a_class_is_its_fragments_in_their_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a.config", tmp_path / "b.config"
    first.write_text("CONFIG_A=y\n")
    second.write_text("CONFIG_B=y\n")
    name = kernel.class_name([first, second], "6.12")
    assert len(name) == 16
    assert name == kernel.class_name([first, second], "6.12")
    assert name != kernel.class_name([second, first], "6.12")
    assert name != kernel.class_name([first, second], "6.13")
