"""Images of all kinds, after what builds do to them, get another kernel: the process is the same,
what boots is intact, and the first kernel brings the first bytes back.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
from support.host_loaders import LOADERS, PROGRAM
from support.hypervisor import Machine, load
from support.kernel_samples import made_kernel
from support.twin import BIN, DEADLINE

from ukcc import paths
from ukcc.errors import UkccError
from ukcc.image.facts import read_facts, read_metadata
from ukcc.image.rekernel import replace_kernel
from ukcc.image.thin import with_kernel
from ukcc.vm.boot.program_copy import is_changed

# uk-gcc links the first ones, gcc those with ELSEWHERE, which `ukcc pack` makes images of.
ELSEWHERE = "elsewhere"
KINDS = {
    "static": [],
    "static PIE, with a stub": ["-fPIE", "-pie"],
    "dynamic PIE": ["-fPIE", "-pie", "-DPLUGINS", "-rdynamic"],
    "dynamic": ["-DPLUGINS", "-rdynamic"],
    "1 GiB BSS": ["-DBIG"],
    "by gold": ["-fuse-ld=gold"],
    "static, elsewhere": [ELSEWHERE, "-static"],
    "static PIE, elsewhere": [ELSEWHERE, "-static-pie"],
    "dynamic PIE, elsewhere": [ELSEWHERE],
    "1 GiB BSS, elsewhere": [ELSEWHERE, "-static", "-DBIG"],
}

# IMAGE becomes `out`.
TREATMENTS = {
    "nothing": "cp IMAGE out",
    "strip": "strip -o out IMAGE",
    "strip -g, something appended": "strip -g -o out IMAGE; echo appended >>out",
    "objcopy, a section more": "echo hello >n; objcopy --add-section .mine=n IMAGE out",
    "objcopy, debug compressed": "objcopy --compress-debug-sections IMAGE out",
    "strip, twice": "strip -g -o half IMAGE; echo x >>half; strip -o out half",
    "eu-strip": "eu-strip -o out IMAGE",
    "eu-elfcompress": "eu-elfcompress -q -o out IMAGE",
}

# What elfutils leave of an image without room runs no more (docs/image.md).
DESTROYED = "eu-"


def general() -> Path:
    current = paths.current_sysroot()
    assert current is not None, "there is no sysroot: run `make setup`"
    return Path(current) / "kernel"


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> "list[Path]":
    """Kernels with fewer segments and pages than the general one, and with more."""
    where = tmp_path_factory.mktemp("kernels")
    return [made_kernel(where / "few", 2), made_kernel(where / "many", 8, pages=400)]


@pytest.fixture(scope="module", params=KINDS)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where, flags = tmp_path_factory.mktemp("image"), KINDS[request.param]
    if "-fuse-ld=gold" in flags and not shutil.which("ld.gold"):
        pytest.skip("needs ld.gold")
    (where / "p.c").write_text(PROGRAM)
    lines = [[BIN / "uk-gcc", "-g", "p.c", "-o", "p", *flags]]
    if ELSEWHERE in flags:
        lines = [
            ["gcc", "-g", "p.c", "-o", "l", *flags[1:]],
            [BIN / "ukcc", "pack", "l", "-o", "p"],
        ]
    for argv in lines:
        subprocess.run(argv, cwd=where, check=True, timeout=DEADLINE)
    return where / "p"


def run(path: Path, *loader: str) -> "tuple[int, str]":
    argv = [*loader, str(path), "word"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE)
    return done.returncode, done.stdout


def replaced(image: Path, kernel: Path, original: Machine) -> Path:
    """The image with that kernel, which loads, and which other tools find nothing wrong with."""
    out = image.parent / f"{image.name}-{kernel.name}"
    replace_kernel(str(image), str(out), str(kernel))
    machine = load(out)
    assert machine.archive == original.archive
    assert is_changed(str(out)) == is_changed(str(image))
    read = subprocess.run(["readelf", "-lSsnW", out], capture_output=True, text=True)
    assert (read.returncode, read.stderr) == (0, "")
    return out


def symbols(path: Path) -> str:
    """Names, addresses, and by a letter the kind of section that each belongs to."""
    return subprocess.run(["nm", path], capture_output=True, text=True).stdout


def treated(image: Path, line: str, where: Path) -> Path:
    if line.startswith("eu-") and not shutil.which(line.split()[0]):
        pytest.skip(f"needs {line.split()[0]}")
    shutil.copy2(image, where / "IMAGE")
    subprocess.run(["bash", "-ec", line], cwd=where, check=True, timeout=DEADLINE)
    (where / "out").chmod(0o751)
    return where / "out"


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_another_kernel_after(
    image: Path, others: "list[Path]", treatment: str, tmp_path: Path
) -> None:
    original = load(image)
    out = treated(image, TREATMENTS[treatment], tmp_path)
    status, says = run(out)
    if status != 42 and treatment.startswith(DESTROYED):
        with pytest.raises(UkccError, match="its kernel cannot be replaced"):
            replace_kernel(str(out), str(tmp_path / "new"), str(others[0]))
        assert not (tmp_path / "new").exists()
        return
    assert replaced(out, general(), original).read_bytes() == out.read_bytes()
    for other in others:
        new = replaced(out, other, original)
        assert run(new) == (status, says) == (42, says)
        assert symbols(new) == symbols(out)
        assert new.stat().st_mode & 0o7777 == 0o751
        assert read_facts(str(new)).made
        assert replaced(new, general(), original).read_bytes() == out.read_bytes()


def test_tools_take_it_as_they_take_any(image: Path, others: "list[Path]", tmp_path: Path) -> None:
    """Those who load programs themselves, and strip, after which the first kernel comes back."""
    original = load(image)
    out = treated(image, TREATMENTS["nothing"], tmp_path)
    wanted = {name: run(out, *argv) for name, argv in LOADERS.items() if not _lacks(argv)}
    for other in others:
        new = replaced(out, other, original)
        assert {name: run(new, *LOADERS[name]) for name in wanted} == wanted
        stripped = tmp_path / f"stripped-{other.name}"
        done = subprocess.run(["strip", "-o", stripped, new], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert load(stripped).archive == original.archive
        back = replaced(stripped, general(), original)
        assert run(back)[0] == run(stripped)[0] == 42
        assert load(back).entry == original.entry


def _lacks(argv: "list[str]") -> bool:
    return bool(argv) and not shutil.which(argv[0])


def test_the_kernel_is_the_one_of_a_link_with_it(others: "list[Path]", tmp_path: Path) -> None:
    """A thin image that is completed with it, and a whole one that gets it."""
    (tmp_path / "p.c").write_text(PROGRAM)
    for name, setting in (("whole", ""), ("thin", "thin")):
        argv = ["env", f"UKCC_IMAGE={setting}", BIN / "uk-gcc", "p.c", "-o", name]
        subprocess.run(argv, cwd=tmp_path, check=True, timeout=DEADLINE)
        with_kernel(str(tmp_path / name), tmp_path / f"{name}-made", str(others[0]))
    whole, thin = (read_metadata(str(tmp_path / f"{n}-made")) for n in ("whole", "thin"))
    assert whole["kernel"] == thin["kernel"]
    assert whole["memory_min_mib"] == thin["memory_min_mib"]
    assert whole["memory_min_mib"] < read_facts(str(tmp_path / "whole")).memory_min_mib
    machines = [load(tmp_path / f"{name}-made") for name in ("whole", "thin")]
    assert machines[0].entry == machines[1].entry
    assert all(run(tmp_path / f"{n}-made")[0] == 42 for n in ("whole", "thin"))
