"""What is done to an image after the link, by the host's tools: both lives see the same file."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.boots import BIN, Boot, Build

# Looks at its own file: the end, an offset (argv[1]), the size, and its section `.mine` by the
# section table; whether it has a symbol table.
SOURCE = r"""
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *part(FILE *f, long at, int whence, size_t size)
{
	char *bytes = calloc(size + 1, 1);

	fseek(f, at, whence);
	if (fread(bytes, 1, size, f) != size)
		strcpy(bytes, "short");
	return bytes;
}

volatile char setting[16] __attribute__((section(".setting"), used)) = "as linked";

int main(int argc, char **argv)
{
	FILE *f = fopen("/proc/self/exe", "rb");
	Elf64_Ehdr *ehdr = part(f, 0, SEEK_SET, sizeof(*ehdr));
	size_t size = ehdr->e_shnum * sizeof(Elf64_Shdr);
	Elf64_Shdr *shdr = part(f, ehdr->e_shoff, SEEK_SET, size);
	Elf64_Shdr *table = &shdr[ehdr->e_shstrndx];
	char *names = part(f, table->sh_offset, SEEK_SET, table->sh_size);
	int symbols = 0;

	fseek(f, 0, SEEK_END);
	printf("size %ld\n", ftell(f));
	printf("end %s\n", (char *)part(f, -8, SEEK_END, 8));
	if (argc > 1)
		printf("offset %s\n", (char *)part(f, atol(argv[1]), SEEK_SET, 8));
	for (int i = 0; i < ehdr->e_shnum; i++) {
		symbols += shdr[i].sh_type == SHT_SYMTAB;
		if (!strcmp(names + shdr[i].sh_name, ".mine"))
			printf("section %s\n", (char *)part(f, shdr[i].sh_offset, SEEK_SET, 8));
	}
	printf("symbols %d, setting %s\n", symbols, (char *)setting);
	return 42;
}
"""

KINDS = {
    "static": [],
    "static PIE": ["-fPIE", "-pie"],
    "dynamic": ["-fPIE", "-pie", "-DPLUGINS", "-Wl,--dynamic-list-data"],
}


@pytest.fixture(params=KINDS)
def image(request: pytest.FixtureRequest, build_image: Build, tmp_path: Path) -> Iterator[Path]:
    flags = KINDS[request.param]
    source = SOURCE
    if request.param == "dynamic":
        source += "#include <dlfcn.h>\nvoid *plugin(char *n) { return dlopen(n, RTLD_NOW); }\n"
    made = tmp_path / "app"
    shutil.copy2(build_image(source, *flags), made)
    yield made


def do(*argv: "str | Path") -> None:
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def both_lives(image: Path, boot: Boot, *args: str) -> str:
    process = subprocess.run([image, *args], capture_output=True)
    machine = boot(image, *args)
    assert (machine.status, machine.stdout) == (process.returncode, process.stdout)
    assert process.returncode == 42
    return process.stdout.decode(errors="replace")


def append(image: Path) -> None:
    with image.open("ab") as file:
        file.write(b"more bytes, and PAYLOAD!")


def test_appended_bytes(image: Path, boot: Boot) -> None:
    """As self-extracting archives and frozen interpreters have them."""
    offset = image.stat().st_size
    append(image)
    said = both_lives(image, boot, str(offset)).splitlines()
    assert said[:3] == [f"size {offset + 24}", "end PAYLOAD!", "offset more byt"]


def test_sections(image: Path, boot: Boot, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("contents of a section")
    (tmp_path / "setting").write_bytes(b"as changed\0\0\0\0\0\0")
    do("objcopy", "--add-section", f".mine={tmp_path / 'mine'}", image)
    do("objcopy", "--update-section", f".setting={tmp_path / 'setting'}", image)
    said = both_lives(image, boot)
    assert "section contents\n" in said
    assert "setting as changed\n" in said


def test_all_at_once(image: Path, boot: Boot, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("contents of a section")
    do("strip", image)
    do("objcopy", "--add-section", f".mine={tmp_path / 'mine'}", image)
    append(image)
    said = both_lives(image, boot)
    for words in ("end PAYLOAD!\n", "section contents\n", "symbols 0, setting as linked\n"):
        assert words in said


def test_a_thin_image(
    build_image: Build, boot: Boot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UKCC_IMAGE", "thin")
    image = tmp_path / "app"
    shutil.copy2(build_image(SOURCE, "-DTHIN"), image)
    assert image.stat().st_size < 2 << 20
    append(image)
    assert "end PAYLOAD!\n" in both_lives(image, boot)


def test_a_packed_program(boot: Boot, tmp_path: Path) -> None:
    """Built elsewhere, with an archive behind it before it was packed."""
    (tmp_path / "p.c").write_text(SOURCE)
    program, image = tmp_path / "p", tmp_path / "image"
    do("gcc", "-O2", "-g", "-static", tmp_path / "p.c", "-o", program)
    offset = program.stat().st_size
    append(program)
    do(BIN / "ukcc", "pack", program, "-o", image)
    for life in (
        subprocess.run([image, str(offset)], capture_output=True).stdout,
        boot(image, str(offset)).stdout,
    ):
        assert b"end PAYLOAD!\noffset more byt\n" in life


def test_a_crash_of_a_changed_program_is_explained(
    build_image: Build, boot: Boot, tmp_path: Path
) -> None:
    source = "#include <stdlib.h>\nvoid broken(void) { abort(); }\nint main(void) { broken(); }\n"
    for flags in ((), ("-fPIE", "-pie")):
        image = tmp_path / "app"
        shutil.copy2(build_image(source, "-O0", *flags), image)
        append(image)
        assert b"  broken at " in boot(image).stderr
        do("strip", "-g", image)
        assert b"  broken" in boot(image).stderr
