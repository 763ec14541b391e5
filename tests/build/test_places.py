"""Where things are may be said in any way: relative, with `..`, by symbolic links, with spaces,
in bytes that are not UTF-8. The same comes out."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.builders import BIN, clean_environment

from ukcc import paths
from ukcc.image.inspect import inspect_image

ODD = os.fsdecode(b"odd \xff place")
LIBRARY = "int from_library(void) { return 7; }\n"
MAIN = "int from_library(void);\nint main(void) { return from_library(); }\n"


@pytest.fixture
def sysroot(tmp_path: Path) -> Path:
    """A copy of the sysroot, at a place with a space and a byte that is not UTF-8."""
    current = paths.current_sysroot()
    assert current is not None, "there is no sysroot to link against: run `make setup`"
    place = tmp_path / "home" / ODD
    place.parent.mkdir()
    shutil.copytree(current, place, symlinks=True)
    return place


def run(*words: str, cwd: Path, **environ: str) -> None:
    done = subprocess.run(
        [str(BIN / words[0]), *words[1:]],
        cwd=cwd,
        env={**clean_environment(), **environ},
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")


def test_a_sysroot_however_it_is_named(tmp_path: Path, sysroot: Path) -> None:
    """A relative one gave an image without its libc, which could not boot."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "lib.c").write_text(LIBRARY)
    (work / "main.c").write_text(MAIN)
    (work / "link").symlink_to(sysroot.parent)
    spelled = [
        str(sysroot),
        f"{sysroot}//",
        f"../home/{ODD}",
        f"./link/{ODD}/",
        f"link/{ODD}/../{ODD}/usr/..",
    ]
    made = set()
    for name in spelled:
        run("uk-gcc", "-shared", "lib.c", "-o", "libown.so", cwd=work, UKCC_SYSROOT=name)
        run("uk-gcc", "main.c", "-L.", "-lown", "-o", "dynamic", cwd=work, UKCC_SYSROOT=name)
        run("uk-gcc", "main.c", "lib.c", "-o", "static", cwd=work, UKCC_SYSROOT=name)
        made.add(((work / "dynamic").read_bytes(), (work / "static").read_bytes()))
        libraries = {module.path for module in inspect_image(work / "dynamic").modules}
        assert {"/usr/lib/libc.so.6", "/usr/lib/libown.so"} <= libraries, name
    assert len(made) == 1


def test_a_store_however_it_is_named(tmp_path: Path, sysroot: Path) -> None:
    """A thin image is completed in the store; scratch files go where TMPDIR says."""
    home = tmp_path / ODD
    (home / "sysroots").mkdir(parents=True)
    current = paths.current_sysroot()
    assert current is not None
    (home / "sysroots" / Path(current).name).symlink_to(sysroot)
    (home / "sysroots" / "current").symlink_to(Path(current).name)
    work, scratch = tmp_path / "work", tmp_path / "work" / ODD
    scratch.mkdir(parents=True)
    (work / "main.c").write_text("int main(void) { return 0; }\n")
    (work / "settings").mkdir()
    (work / "settings" / f"{ODD}.toml").write_text("memory = 64\n")
    places = {
        "UKCC_HOME": f"../{ODD}/",
        "TMPDIR": f"./{ODD}",
        "UKCC_CONFIG": f"settings/{ODD}.toml",
    }
    unset = {name: value for name, value in places.items() if name != "UKCC_CONFIG"}
    sysrootless = {"UKCC_IMAGE": "thin", **places}
    environment = {k: v for k, v in clean_environment().items() if k != "UKCC_SYSROOT"}
    for words, more in (
        (["uk-gcc", "main.c", "-o", "main"], sysrootless),
        (["ukcc", "run", "--dry-run", "--accel", "tcg", "./main"], unset),
    ):
        done = subprocess.run(
            [str(BIN / words[0]), *words[1:]], cwd=work, env={**environment, **more},
            capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    assert len(list((home / "cache" / "images").iterdir())) == 1
    assert inspect_image(work / "main").settings == {"memory": 64}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of others")
@pytest.mark.parametrize("line", ["uk-gcc m.c -o out", "uk-gcc w.c -o out"])
def test_another_users_file_in_a_directory_like_tmp(tmp_path: Path, line: str) -> None:
    """ld writes into it where it may; nobody but its owner can replace it."""
    place = tmp_path / "sticky"
    place.mkdir()
    (place / "m.c").write_text("int main(void) { return 7; }\n")
    (place / "w.c").write_text(
        "extern char _DYNAMIC[] __attribute__((weak));\n"
        "int main(void) { return _DYNAMIC ? 7 : 1; }\n"
    )
    (place / "out").write_text("old")
    for path, mode in ((place, 0o1777), (place / "out", 0o777)):
        os.chown(path, 65534, 65534)
        path.chmod(mode)
    before = (place / "out").stat()
    drop = ["setpriv", "--bounding-set=-fowner,-dac_override", "--"]

    def run_as_another(line: str) -> "subprocess.CompletedProcess[bytes]":
        environ = {**clean_environment(), "PATH": f"{BIN}:{os.environ['PATH']}"}
        return subprocess.run(
            [*drop, "sh", "-c", line], cwd=place, env=environ, capture_output=True, timeout=120
        )

    assert run_as_another("rm -f out").returncode == 1
    done = run_as_another(line)
    assert (done.returncode, done.stderr) == (0, b"")
    after = (place / "out").stat()
    assert (after.st_ino, after.st_uid, after.st_mode) == (
        (before.st_ino, before.st_uid, before.st_mode)
    )
    assert inspect_image(place / "out").kernel
    assert not list(place.glob(".ukcc*"))
    assert subprocess.run([str(place / "out")]).returncode == 7
    (place / "out").chmod(0o755)
    for name in ("gcc", "uk-gcc"):
        done = run_as_another(f"{name} m.c -o out")
        assert done.returncode == 1
        assert b"cannot open output file out: Permission denied" in done.stderr
    assert inspect_image(place / "out").kernel
