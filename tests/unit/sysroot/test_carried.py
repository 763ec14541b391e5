"""`ukcc sysroot export` and `import`: the same sysroot elsewhere, and nothing but a sysroot."""

import lzma
from hashlib import sha256
from pathlib import Path

import pytest
from support.sysroot_samples import ID, entries

from ukcc.cc.toolchain import find_sysroot
from ukcc.errors import UkccError
from ukcc.image import cpio
from ukcc.image.cpio import Entry
from ukcc.sysroot import carried
from ukcc.sysroot.store import Store


def exported(*more: Entry, sysroot_id: object = ID) -> bytes:
    return lzma.compress(cpio.archive(entries(*more, sysroot_id=sysroot_id)))


def contents(root: Path) -> "dict[str, object]":
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = path.readlink()
        elif path.is_file():
            found[name] = (path.read_bytes(), path.stat().st_mode & 0o777)
    return found


def test_there_and_back(tmp_path: Path) -> None:
    store, other = Store(tmp_path / "store"), Store(tmp_path / "other")
    first = carried.take_in(store, exported(cpio.symlink("usr/lib/libx.so", "libx.so.1")), "x")
    file = tmp_path / "sysroot.cpio.xz"
    digest = carried.export(first, file)
    assert digest == sha256(file.read_bytes()).hexdigest()
    assert carried.export(first, tmp_path / "again") == digest
    second = carried.take_in(other, carried.read(str(file), digest), str(file))
    assert second.id == first.id == ID and second.record == first.record
    assert contents(second.path) == contents(first.path)
    assert contents(first.path)["boot/init"] == (b"boot/init", 0o755)
    assert other.current() == second
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_one_that_is_there_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = carried.take_in(store, exported(), "x")
    (made.path / "boot" / "init").write_bytes(b"mine")
    carried.take_in(store, exported(), "x")
    assert (made.path / "boot" / "init").read_bytes() == b"mine"


def test_an_unfinished_import_is_thrown_away(tmp_path: Path) -> None:
    store = Store(tmp_path)
    left = store.work(f"import-{ID}") / "usr"
    left.mkdir(parents=True)
    (left / "odd").write_text("x")
    made = carried.take_in(store, exported(), "x")
    assert not (made.path / "usr" / "odd").exists()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ([cpio.symlink("usr/lib/out", "../../../etc")], "usr/lib/out leads out of it"),
        ([cpio.symlink("usr/lib/out", "/etc")], "usr/lib/out leads out of it"),
        (
            [cpio.symlink("out", "usr"), cpio.regular("out/x", b"")],
            "out/x lies below a symbolic link",
        ),
        ([cpio.regular("boot/init", b"")], "it has a file twice"),
        ([Entry("pipe", 0o010644)], "pipe is neither a file nor a directory nor a link"),
    ],
)
def test_what_is_no_part_of_a_sysroot(more: "list[Entry]", reason: str) -> None:
    with pytest.raises(UkccError, match=reason):
        carried.checked(cpio.archive([*entries(), *more]))


@pytest.mark.parametrize("sysroot_id", ["", "0123", "../../../../x", "0123456789abcdeF", 7, None])
def test_an_id_that_is_none(sysroot_id: object) -> None:
    with pytest.raises(UkccError, match=r"sysroot.json does not say what it is"):
        carried.unpacked(exported(sysroot_id=sysroot_id))


def test_what_is_missing_is_named() -> None:
    left = [entry for entry in entries() if entry.path != "usr/lib/libc.a"]
    with pytest.raises(UkccError, match=r"^usr/lib/libc.a is missing$"):
        carried.checked(cpio.archive(left))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is cut off"),
        (b"text" * 9, "xz: Input format not supported by decoder"),
        (exported()[:-20], "it is cut off"),
        (lzma.compress(b"no archive"), "archive"),
    ],
)
def test_a_file_that_is_damaged(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(UkccError, match=rf"^file: not an exported sysroot: .*{reason}"):
        carried.take_in(Store(tmp_path), data, "file")
    assert not (tmp_path / "sysroots").exists()


def test_one_that_grows_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carried, "_MOST_BYTES", 1000)
    with pytest.raises(UkccError, match=r"^it is too large$"):
        carried.unpacked(exported())


def test_a_digest_is_compared(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    digest = sha256(b"x").hexdigest()
    assert carried.read(str(file), digest.upper()) == b"x"
    assert carried.read(file.as_uri(), digest) == b"x"
    with pytest.raises(UkccError, match=f"its SHA-256 is {digest}, not 00"):
        carried.read(str(file), "00")
    with pytest.raises(UkccError, match="its digest is not given"):
        carried.read(file.as_uri())


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UkccError, match="none: No such file or directory"):
        carried.read(str(tmp_path / "none"))
    with pytest.raises(UkccError, match="No such file or directory"):
        carried.read((tmp_path / "none").as_uri(), "00")


def test_one_that_is_installed_as_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes into the store when something is compiled, unless there is one."""
    monkeypatch.setenv("UKCC_HOME", str(tmp_path / "store"))
    monkeypatch.delenv("UKCC_SYSROOT", raising=False)
    file = tmp_path / "sysroot.cpio.xz"
    monkeypatch.setattr("ukcc.paths.carried_sysroot", lambda: str(file))
    assert find_sysroot({}) == ""
    file.write_bytes(exported())
    assert find_sysroot({"UKCC_SYSROOT": ""}) == ""
    assert find_sysroot({}) == f"{tmp_path}/store/sysroots/{ID}"
    file.write_bytes(b"not looked at again")
    assert find_sysroot({}) == f"{tmp_path}/store/sysroots/{ID}"
