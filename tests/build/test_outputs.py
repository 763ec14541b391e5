"""What builds and packagers do to their outputs: the file still runs, and what boots is intact.

`hypervisor.py` reads the file afterwards; tests/boot/test_outputs_boot.py boots some.
"""

import os
import subprocess
from pathlib import Path

import pytest
from support.hypervisor import Machine, load
from support.other_clock import build_clock
from support.twin import BIN, DEADLINE

SOURCES = {
    "main.c": '#include <stdio.h>\nconst char *name(void);\n__thread int tls = 42;\n'
    'int main(int c, char **v) { printf("%s %d %s\\n", name(), c, v[1]); return tls; }\n',
    "name.c": "#include <assert.h>\nstatic char big[1 << 21];\n"
    'const char *name(void) { assert(!big[1 << 20]); return "named"; }\n',
}  # fmt: skip
PROGRAMS = {"static": ["-g"], "static PIE": ["-g", "-fPIE", "-static-pie"]}

# IMAGE is the file, in a directory of its own; what is tested afterwards is `out`.
TREATMENTS = {
    "nothing": "ln IMAGE out",
    "strip": "cp IMAGE out; strip out",
    "strip -g": "cp IMAGE out; strip -g out",
    "strip -x": "strip -x -o out IMAGE",
    "strip --strip-unneeded": "cp IMAGE out; strip --strip-unneeded out",
    "strip, twice": "strip -g -o half IMAGE; strip -o out half",
    "strip, as Debian does": "cp IMAGE out; strip --remove-section=.comment"
    " --remove-section=.note out",
    "strip -p": "strip -p -s -o out IMAGE",
    "uk-strip": "cp IMAGE out; UK-strip out",
    "install": "install -m 755 IMAGE out",
    "install -s": "install -s IMAGE out",
    "install -s, uk-strip": "install -s --strip-program=UK-strip IMAGE out",
    "objcopy": "objcopy IMAGE out",
    "uk-objcopy": "UK-objcopy -S IMAGE out",
    "objcopy -p --strip-debug": "objcopy -p --strip-debug IMAGE out",
    "objcopy, debug split off": "objcopy --only-keep-debug IMAGE out.debug 2>/dev/null;"
    " cp IMAGE out; strip -g out; objcopy --add-gnu-debuglink=out.debug out",
    "objcopy, debug compressed": "objcopy --compress-debug-sections IMAGE out",
    "objcopy, debug decompressed": "objcopy --compress-debug-sections=zlib-gnu IMAGE half;"
    " objcopy --decompress-debug-sections half out",
    "objcopy, a section more": "echo hello >note; objcopy --add-section .note.build=note IMAGE out",
    "objcopy, symbols": "objcopy -N name --prefix-symbols=q_ IMAGE out",
    "cp": "cp -p IMAGE out",
    "cp, sparse": "cp --sparse=always IMAGE out",
    "dd, sparse": "dd if=IMAGE of=out bs=64k conv=sparse status=none; chmod +x out",
    "chmod": "cp IMAGE out; chmod 500 out",
    "tar": "tar cf t.tar IMAGE; mkdir d; tar xf t.tar -C d; mv d/IMAGE out",
    "tar, sparse": "tar cSzf t.tgz IMAGE; mkdir d; tar xSzf t.tgz -C d; mv d/IMAGE out",
    "mv": "cp IMAGE half; mv half out",
    "hard link": "ln IMAGE half; ln half out",
    "archive": "ar rc t.a IMAGE; mkdir d; cd d; ar x ../t.a; mv IMAGE ../out; chmod +x ../out",
    "gzip": "gzip <IMAGE >t.gz; gunzip <t.gz >out; chmod +x out",
}


def build(where: Path, *words: str, **environ: str) -> Path:
    for name, text in SOURCES.items():
        (where / name).write_text(text)
    done = subprocess.run(
        [BIN / "uk-gcc", "-O2", *words, *SOURCES, "-o", "program"],
        cwd=where,
        env={**os.environ, "UKCC_PLAIN": "", **environ},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return where / "program"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> "dict[str, tuple[Path, Machine]]":
    made = {n: build(tmp_path_factory.mktemp("image"), *words) for n, words in PROGRAMS.items()}
    return {name: (path, load(path)) for name, path in made.items()}


def treat(image: Path, line: str, where: Path) -> Path:
    os.link(image, where / "IMAGE")
    before = image.read_bytes()
    done = subprocess.run(
        ["bash", "-ec", line.replace("UK-", f"{BIN}/uk-")],
        cwd=where,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert image.read_bytes() == before
    return where / "out"


def runs(path: Path) -> None:
    done = subprocess.run([path, "x"], capture_output=True, text=True, timeout=DEADLINE)
    assert (done.returncode, done.stdout, done.stderr) == (42, "named 2 x\n", "")


def boots_alike(machine: Machine, original: Machine) -> None:
    assert machine.entry == original.entry
    assert machine.kernel == original.kernel
    assert machine.archive == original.archive


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_boots_is_there(images: "dict[str, tuple[Path, Machine]]", program: str) -> None:
    path, machine = images[program]
    assert len(machine.kernel) > 4 << 20
    assert b"app/program\0" in machine.archive
    assert machine.archive.rstrip(b"\0").endswith(b"TRAILER!!!")
    assert path.stat().st_size < 32 << 20


# What only copies the file does not care what is in it.
REWRITES = [name for name, line in TREATMENTS.items() if "strip" in line or "objcopy" in line]
CASES = [("static", name) for name in TREATMENTS] + [("static PIE", name) for name in REWRITES]


@pytest.mark.parametrize(("program", "treatment"), CASES)
def test_after(
    images: "dict[str, tuple[Path, Machine]]", program: str, treatment: str, tmp_path: Path
) -> None:
    image, original = images[program]
    out = treat(image, TREATMENTS[treatment], tmp_path)
    runs(out)
    boots_alike(load(out), original)


@pytest.fixture
def image(images: "dict[str, tuple[Path, Machine]]") -> Path:
    return images["static"][0]


def test_gdb_finds_lines_in_the_debug_file(image: Path, tmp_path: Path) -> None:
    treat(image, TREATMENTS["objcopy, debug split off"], tmp_path)
    asked = ["gdb", "-batch", "-ex", "info line name", "out"]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE)
    assert 'of "name.c"' in done.stdout


def test_make_install_strips(image: Path, tmp_path: Path) -> None:
    """The host's strip, by the variable that automake's `install-strip` passes on."""
    (tmp_path / "Makefile").write_text(
        "install-strip:\n\tinstall -s --strip-program=$(STRIP) IMAGE out\n"
    )
    runs(treat(image, "make -s install-strip STRIP=UK-strip", tmp_path))
    nm = subprocess.run(["nm", tmp_path / "out"], capture_output=True, text=True)
    assert "no symbols" in nm.stderr


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_clock(tmp_path_factory.mktemp("clock"))


@pytest.mark.parametrize("epoch", ["", "1700000000"], ids=["no epoch", "epoch"])
@pytest.mark.parametrize("debug", [False, True], ids=["no debug", "debug"])
def test_same_inputs_same_bytes(tmp_path: Path, clock: Path, debug: bool, epoch: str) -> None:
    made = []
    for name, offset in (("here", "0"), ("another/there", "400000000")):
        where = tmp_path / name
        where.mkdir(parents=True)
        words = ["-g", f"-ffile-prefix-map={where}=."] if debug else []
        environ = {"SOURCE_DATE_EPOCH": epoch} if epoch else {}
        made.append(build(where, *words, LD_PRELOAD=str(clock), CLOCK=offset, **environ))
    first, second = (path.read_bytes() for path in made)
    boots_alike(load(made[0]), load(made[1]))
    assert first == second
