"""What a link with UKCC_CONFIG puts into the image, and what a wrong file leaves: nothing."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.builders import clean_environment

from ukcc import paths
from ukcc.image import cpio
from ukcc.image.elf import open_elf
from ukcc.image.inspect import inspect_image

BIN = Path(sys.executable).parent
SETTINGS = """
memory = 64
args = ["a"]
volume = ["data:/data"]
[files]
"/etc/app" = {source = "app", owner = "www-data:daemon"}
"/srv/site" = "site"
"""

WARNING = (
    "uk-gcc: warning: uk.toml: the image does not carry volume, which only its host may say; "
    "`ukcc run` takes it from its options, or from a uk.toml beside the image\n"
)

Link = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def link(tmp_path: Path) -> Link:
    """Links a program in `DIRECTORY`, by default that of the files; returns how it ended."""
    if paths.current_sysroot() is None:
        pytest.fail("there is no sysroot to link against: run `make setup`", pytrace=False)
    make_files(tmp_path)

    def linker(
        *words: str, cwd: Path = tmp_path, **environ: str
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(BIN / "uk-gcc"), *(words or ("p.c", "-o", "p"))],
            cwd=cwd,
            env={**clean_environment(), **environ},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return linker


def test_pack_says_what_it_leaves_out(link: Link, tmp_path: Path) -> None:
    """So does a link (below): whoever ran the image elsewhere missed it there."""
    assert link(UKCC_PLAIN="1").returncode == 0
    (tmp_path / "uk.toml").write_text('memory = 64\nvsock = 5\nenv = ["A=1", "HOME"]\n')
    done = subprocess.run(
        [str(BIN / "ukcc"), "pack", "p", "-o", "image", "--config", "uk.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "")
    said = WARNING.replace("uk-gcc", "ukcc").replace("carry volume", "carry vsock, env (HOME)")
    assert done.stderr == said
    assert inspect_image(tmp_path / "image").settings == {"memory": 64, "env": ["A=1"]}


def make_files(directory: Path) -> None:
    (directory / "uk.toml").write_text(SETTINGS)
    (directory / "p.c").write_text("int main(void) { return 0; }\n")
    (directory / "app").write_text("app\n")
    (directory / "app").chmod(0o4751)
    (directory / "site").mkdir(mode=0o755)
    for name in ("b", "a", "c"):
        (directory / "site" / name).write_text(name)
        (directory / "site" / name).chmod(0o644)


def members(image: Path) -> dict[str, cpio.Entry]:
    with open_elf(image) as elf:
        archive = elf.archive()
        return {e.path: e for e in cpio.members(archive.read(0, archive.size))}


def test_an_image_carries_its_settings(link: Link, tmp_path: Path) -> None:
    assert link(UKCC_CONFIG="uk.toml").stderr == WARNING
    assert inspect_image(tmp_path / "p").settings == {"memory": 64, "args": ["a"]}
    found = members(tmp_path / "p")
    assert found["etc/app"] == cpio.Entry("etc/app", 0o104751, b"app\n", 33, 1)
    site = [path for path in found if path.startswith("srv/")]
    assert site == ["srv/site", "srv/site/a", "srv/site/b", "srv/site/c"]
    assert found["srv/site/a"] == cpio.Entry("srv/site/a", 0o100644, b"a", os.getuid(), os.getgid())
    shown = subprocess.run(
        [str(BIN / "ukcc"), "inspect", str(tmp_path / "p")], capture_output=True, text=True
    )
    assert "  files        /etc/app\n               /srv/site/a\n" in shown.stdout
    assert '  settings     args = ["a"]\n               memory = 64\n' in shown.stdout


def test_it_is_the_same_bytes_everywhere(link: Link, tmp_path: Path) -> None:
    other = tmp_path / "somewhere" / "else"
    other.mkdir(parents=True)
    make_files(other)
    assert link(UKCC_CONFIG="uk.toml").returncode == 0
    assert link(cwd=other, UKCC_CONFIG=str(other / "uk.toml")).returncode == 0
    assert (tmp_path / "p").read_bytes() == (other / "p").read_bytes()


def test_the_file_is_found_above(link: Link, tmp_path: Path) -> None:
    """`UKCC_CONFIG=uk.toml make` in a project whose makefiles link in src/."""
    (tmp_path / "src").mkdir()
    said = link("../p.c", "-o", "p", cwd=tmp_path / "src", UKCC_CONFIG="uk.toml").stderr
    assert said == WARNING.replace("uk.toml:", "../uk.toml:")
    assert members(tmp_path / "src" / "p")["etc/app"].data == b"app\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("memry = 1", "uk.toml: unknown key 'memry'; did you mean 'memory'?"),
        ("memory = '1'", "uk.toml: memory: it takes an integer, not a string"),
        ("ulimit = ['cpu']", "uk.toml: ulimit: 'cpu' is not understood; it takes NAME=SOFT"),
        ("memory =", "uk.toml: Invalid value"),
        ("[files]\n'/x' = 'nowhere'", "uk.toml: files: nowhere: No such file or directory"),
        ("[files]\n'/app/p' = 'app'", "uk.toml: files: /app/p: this place in the image is taken"),
        (
            "[files]\n'/srv/a' = 'app'\n'/srv' = 'site'",
            "uk.toml: files: /srv/a: two files are to be at this place",
        ),
        ("[files]\n'/x' = {source = 'app', owner = 'who'}", "uk.toml: files: owner 'who'"),
    ],
)
def test_a_wrong_file_leaves_no_output(link: Link, tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "uk.toml").write_text(text)
    done = link(UKCC_CONFIG="uk.toml")
    assert done.returncode == 1
    assert done.stderr.startswith(f"uk-gcc: error: {reason}") and done.stderr.count("\n") == 1
    assert not (tmp_path / "p").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"uk.toml", "p.c", "app", "site"}


def test_a_file_that_is_not_there(link: Link, tmp_path: Path) -> None:
    done = link(UKCC_CONFIG="no.toml")
    assert done.returncode == 1 and not (tmp_path / "p").exists()
    assert done.stderr == "uk-gcc: error: UKCC_CONFIG: no.toml: no such file, here or above\n"


def test_a_thin_image_has_settings_but_no_files(link: Link, tmp_path: Path) -> None:
    done = link(UKCC_CONFIG="uk.toml", UKCC_IMAGE="thin")
    assert done.returncode == 1 and "a thin image has no archive for them" in done.stderr
    (tmp_path / "uk.toml").write_text("memory = 64\n")
    assert link(UKCC_CONFIG="uk.toml", UKCC_IMAGE="thin").returncode == 0
    assert inspect_image(tmp_path / "p").settings == {"memory": 64}


def test_pack(link: Link, tmp_path: Path) -> None:
    def pack(*words: str) -> "subprocess.CompletedProcess[str]":
        argv = [str(BIN / "ukcc"), "pack", "p", "-o", "image", *words]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)

    assert link(UKCC_PLAIN="1", UKCC_CONFIG="uk.toml").returncode == 0
    assert pack("--config", "uk.toml", "--file", "app:/etc/other").returncode == 0
    found = members(tmp_path / "image")
    assert found["etc/app"].uid == 33 and found["etc/other"].mode == 0o104751
    assert inspect_image(tmp_path / "image").settings == {"memory": 64, "args": ["a"]}
    (tmp_path / "image").unlink()
    done = pack("--config", "uk.toml", "--file", "app:/etc/app")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "/etc/app: two files are to be at this place" in done.stderr
    assert not (tmp_path / "image").exists()


def test_pack_makes_a_thin_image_whole(link: Link, tmp_path: Path) -> None:
    argv = [str(BIN / "ukcc"), "pack", "p", "-o", "image", "--name", "other"]
    argv += ["--config", "uk.toml", "--file", "site:/site"]
    assert link(UKCC_IMAGE="thin").returncode == 0
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, WARNING.replace("uk-gcc", "ukcc"))
    image = inspect_image(tmp_path / "image")
    assert image.kernel and image.program == "/app/other"
    assert image.settings == {"memory": 64, "args": ["a"]}
    assert {"app/other", "etc/app", "srv/site/a", "site/a"} <= set(members(tmp_path / "image"))
    assert subprocess.run([tmp_path / "image"]).returncode == 0
    # what it was made of is as it was, and a whole one is no thin one
    assert (tmp_path / "p").stat().st_size < 2_000_000
    again = [*argv[:2], "image", "-o", "another"]
    done = subprocess.run(again, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "ukcc: error: image: is an image already\n")
