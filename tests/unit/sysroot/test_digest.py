"""What names a sysroot: contents, and nothing else."""

import os
from pathlib import Path

import pytest

from ukcc import paths
from ukcc.errors import UkccError
from ukcc.sysroot import inputs, kernels
from ukcc.sysroot.sources import SourceTarball
from ukcc.sysroot.store import Store


def patches() -> list[str]:
    """A patch of each series of each kernel, relative to sysroot/linux."""
    return [
        f"{kernel.place}/patches/{name}/0001-{name}.patch"
        for kernel in kernels.KERNELS
        for name in kernel.series
    ]


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small installation: data directories, source tarballs and tools that are not there."""
    data = tmp_path / "data"
    files = {
        **{f"sysroot/linux/{path}": "patch" for path in patches()},
        **{f"sysroot/linux/config/{name}.config": "CONFIG_X=y\n" for name in kernels.FRAGMENTS},
        "sysroot/linux/7.2/config/linux-7.2.config": "CONFIG_X=n\n",
        "sysroot/glibc/build.sh": "true\n",
        "sysroot/musl/build.sh": "true\n",
        "sysroot/init/init.c": "int main;\n",
        "sysroot/link/room.s": "\n",
        "toolchain-shims/as": "#!/bin/sh\n",
        "toolchain-shims/prelude.s": "\n",
    }
    for name, text in files.items():
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    tarball = tmp_path / "source.tar.xz"
    tarball.write_bytes(b"source")
    tools = {"gcc": "gcc 12", "as": "as 2.40", "ld": "ld 2.40"}
    monkeypatch.setattr(paths, "data_dir", lambda name: str(data / name))
    monkeypatch.setattr(
        inputs.sources, "locate", lambda package, store: SourceTarball(package.name, "1.0", tarball)
    )
    monkeypatch.setattr(inputs, "tool_versions", lambda: dict(tools))
    return data


def gather(tmp_path: Path) -> inputs.Inputs:
    return inputs.gather(Store(tmp_path / "store"))


def test_the_same_contents_have_the_same_id(recipe: Path, tmp_path: Path) -> None:
    before = gather(tmp_path)
    for path in recipe.rglob("*"):
        os.utime(path, (1, 1))
    after = inputs.gather(Store(tmp_path / "another store"))
    assert after.id == before.id
    assert len(after.id) == 16


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ("sysroot/linux/patches/one-ring/0001-one-ring.patch", {"kernel"}),
        ("sysroot/linux/config/net.config", {"kernel"}),
        ("sysroot/glibc/build.sh", {"glibc"}),
        ("sysroot/musl/build.sh", {"musl"}),
        ("toolchain-shims/prelude.s", {"glibc"}),
        ("sysroot/init/init.c", set()),
        ("sysroot/link/room.s", set()),
    ],
)
def test_a_change_rebuilds_what_depends_on_it(
    recipe: Path, tmp_path: Path, changed: str, parts: set[str]
) -> None:
    before = gather(tmp_path)
    with (recipe / changed).open("a") as stream:
        stream.write("x")
    after = gather(tmp_path)
    assert after.id != before.id
    differing = {
        name
        for name in ("headers", "kernel", "glibc", "musl")
        if after.part_digest(name) != before.part_digest(name)
    }
    assert differing == parts


def test_another_compiler_rebuilds_kernel_and_glibc_but_not_the_headers(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = gather(tmp_path)
    monkeypatch.setattr(inputs, "tool_versions", lambda: {"gcc": "gcc 13", "as": "", "ld": ""})
    after = gather(tmp_path)
    assert after.part_digest("kernel") != before.part_digest("kernel")
    assert after.part_digest("glibc") != before.part_digest("glibc")
    assert after.part_digest("headers") == before.part_digest("headers")


def test_another_kernel_is_another_sysroot_with_the_same_musl(recipe: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    found = {kernel.name: inputs.gather(store, kernel) for kernel in kernels.KERNELS}
    assert len({given.id for given in found.values()}) == len(kernels.KERNELS)
    assert len({given.part_digest("musl") for given in found.values()}) == 1
    assert inputs.gather(store).id == found["6.12"].id


def test_a_newer_kernels_own_fragment_and_patches_are_its_own(recipe: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    before = {kernel.name: inputs.gather(store, kernel).id for kernel in kernels.KERNELS}
    (recipe / "sysroot/linux/7.2/config/linux-7.2.config").write_text("CONFIG_X=m\n")
    (recipe / "sysroot/linux/7.2/patches/boot/0002-more.patch").write_text("patch")
    after = {kernel.name: inputs.gather(store, kernel).id for kernel in kernels.KERNELS}
    assert after["6.12"] == before["6.12"] and after["7.2"] != before["7.2"]


def test_another_source_changes_everything(recipe: Path, tmp_path: Path) -> None:
    before = gather(tmp_path)
    (tmp_path / "source.tar.xz").write_bytes(b"another source")
    after = gather(tmp_path)
    for part in ("headers", "kernel", "glibc", "musl"):
        assert after.part_digest(part) != before.part_digest(part)


def test_the_parts_of_an_earlier_ukccs_sysroot_are_told(recipe: Path, tmp_path: Path) -> None:
    record = dict(gather(tmp_path).record)
    record["recipes"] = {n: v for n, v in record["recipes"].items() if n != "musl"}
    del record["musl"], record["musl_script"]
    assert set(inputs.part_digests(record)) == {"headers", "kernel", "glibc"}


def test_a_new_patch_counts(recipe: Path, tmp_path: Path) -> None:
    before = gather(tmp_path)
    (recipe / "sysroot/linux/patches/one-ring/0002-b.patch").write_text("patch")
    assert gather(tmp_path).id != before.id


def test_an_installation_without_patches_is_refused(recipe: Path, tmp_path: Path) -> None:
    (recipe / "sysroot/linux/patches/one-ring/0001-one-ring.patch").unlink()
    with pytest.raises(UkccError, match=r"incomplete: .*\*\.patch"):
        gather(tmp_path)


def test_a_large_files_digest_is_remembered_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, large = Store(tmp_path / "store"), tmp_path / "large"
    large.write_bytes(b"one")
    first = inputs.cached_digest(large, store)
    with monkeypatch.context() as patched:
        patched.setattr(inputs, "file_digest", lambda path: pytest.fail("read again"))
        assert inputs.cached_digest(large, store) == first
    large.write_bytes(b"other")
    assert inputs.cached_digest(large, store) == inputs.file_digest(large) != first


def test_a_damaged_cache_is_no_obstacle(tmp_path: Path) -> None:
    store, large = Store(tmp_path / "store"), tmp_path / "large"
    large.write_bytes(b"one")
    for damage in ("", "{", "[]", '{"' + str(large) + '": 1}'):
        (store.root / "cache").mkdir(parents=True, exist_ok=True)
        (store.root / "cache" / "digests.json").write_text(damage)
        assert inputs.cached_digest(large, store) == inputs.file_digest(large)


def test_the_parts_of_a_recorded_sysroot_are_known(recipe: Path, tmp_path: Path) -> None:
    made = gather(tmp_path)
    assert inputs.part_digests(made.record)["kernel"] == made.part_digest("kernel")
