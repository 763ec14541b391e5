"""The stated memory against the rules of those who use it, re-stated: the kernel and SeaBIOS."""

import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.image_samples import KERNEL, SAMPLES, companions, make_sysroot, program

from ukcc.image import cpio
from ukcc.image.facts import read_facts
from ukcc.image.headers import PAGE, align_up
from ukcc.image.memory import (
    UnpackedFiles,
    files_of,
    more_cpus_mib,
    second_archive,
    second_archive_mib,
    smallest_memory,
)
from ukcc.image.pack import pack_image

MIB = 1 << 20
KERNEL_END = align_up(int(str(KERNEL["end_paddr"])))


def unpack(archive: bytes, one_copy: bool) -> tuple[int, int]:
    """(most bytes in memory at once, bytes of the files), of an archive as the kernel unpacks it.

    init/uk_archive.c with CONFIG_UK_ONE_COPY: pages behind the cursor are freed, whole pages of
    data that begins on a page become the file's, all else is copied a page at a time.
    """
    left, files, most = align_up(len(archive)), 0, 0
    cursor = 0

    def give_back(end: int, kept: int) -> None:
        nonlocal left, cursor
        left -= max(0, end // PAGE * PAGE - cursor - kept)
        cursor = max(cursor, end // PAGE * PAGE)

    for member in cpio.walk(lambda at, size: archive[at : at + size], 0, len(archive)):
        if not stat.S_ISREG(member.mode):
            continue
        at, end = member.offset, member.offset + member.size
        whole = member.size // PAGE * PAGE if at % PAGE == 0 and one_copy else 0
        if whole:
            give_back(at, 0)
            give_back(at + whole, whole)  # freed by nobody: they are the file's
            left -= whole
            files += whole
        files += align_up(member.size) - whole
        most = max(most, left + files)
        if one_copy:
            give_back(end, 0)
    return max(most, files), files


def many(count: int, size: int) -> list[cpio.Entry]:
    return [cpio.regular(f"data/{number}", bytes(size)) for number in range(count)]


CONTENTS = {
    "nothing": [],
    "one of 1 MB": many(1, 1_000_000),
    "one of 10 MB": many(1, 10_000_000),
    "a page and a byte": many(500, PAGE + 1),
    "a page less a byte": many(500, PAGE - 1),
    "exact pages": many(100, 3 * PAGE),
    "tiny": many(5000, 10),
    "links": [cpio.symlink(f"l{n}", "t" * n) for n in range(1, 400)],
    "mixed": [*many(10, 100_000), *many(300, 700), *many(40, 5000)],
}


@pytest.fixture(params=CONTENTS)
def members(request: pytest.FixtureRequest) -> list[cpio.Entry]:
    return cpio.with_parents(CONTENTS[request.param])


@pytest.mark.parametrize("one_copy", [True, False])
def test_unpacking_fits(members: list[cpio.Entry], one_copy: bool) -> None:
    archive = cpio.archive(members, pages=True)
    stated = _stated(len(archive), files_of(members), one_copy=one_copy)
    most, files = unpack(archive, one_copy)
    # memory of the kernel's own: a struct page of 64 bytes, by sections of 128 MiB
    free = stated - KERNEL_END - -(-stated // (128 * MIB)) * 2 * MIB
    assert most + len(members) * 1024 + files // 256 + 6 * MIB <= free
    # the root's tmpfs: what uk_archive_limit() gives, or half of what is not reserved
    rest = free - 6 * MIB - align_up(len(archive))
    assert files <= (len(archive) if one_copy else 0) + rest // 2


def test_the_model_of_the_kernel_sees_copies() -> None:
    entries = many(1, 10_000_000)
    archive = cpio.archive(entries, pages=True)
    assert unpack(archive, True)[0] <= align_up(len(archive)) + PAGE
    assert unpack(archive, False)[0] >= 2 * 10_000_000
    shifted = cpio.archive([cpio.regular("a", b"x"), *entries])
    assert unpack(shifted, True)[0] <= align_up(len(shifted)) + 10_000_000 + 2 * PAGE


@pytest.mark.parametrize("megabytes", [1, 10, 100, 500, 1500])
def test_peak_is_close_to_kernel_and_archive(megabytes: int) -> None:
    """Beside them: 2 MiB of struct pages in 128, and what docs/image.md lists."""
    size = align_up(megabytes * 1_000_000)
    stated = _stated(size + PAGE, UnpackedFiles(4, size, PAGE), one_copy=True)
    least = KERNEL_END + size + PAGE
    assert least < stated <= 1.1 * least + 20 * MIB


@pytest.mark.parametrize("size", [0, 1, 4, 8, 12, 14, 15, 16, 17, 40, 200])
@pytest.mark.parametrize("kernel_end", [4 * MIB, 15 * MIB])
def test_seabios_leaves_the_archive_alone(kernel_end: int, size: int) -> None:
    """Not only at the stated size: at every larger one.

    src/malloc.c, malloc_preinit: with enough memory above 1 MiB its tables get the last 16 MiB,
    else 256 KiB; temporary memory is taken downwards from there.
    """
    archive = size * MIB
    stated = _stated(archive, UnpackedFiles(4, archive, 0), kernel_end=kernel_end, one_copy=True)
    for memory in range(stated, stated + 64 * MIB, MIB):
        tables = memory - 16 * MIB
        if tables < MIB + 16 * MIB:
            tables = memory - (256 << 10)
        temporary = tables - (512 << 10)  # 124 KiB were seen in use
        assert kernel_end + archive <= temporary


def _stated(
    size: int, files: UnpackedFiles, *, kernel_end: int = KERNEL_END, one_copy: bool
) -> int:
    """Bytes of memory for an image with `size` bytes of archive."""
    end = kernel_end + size
    return MIB * smallest_memory(
        size, files, kernel_end=kernel_end, loaded_end=end, one_copy=one_copy
    )


def test_what_a_run_adds() -> None:
    """Arguments and environment are in what the image states, and a locale unless it loads none."""
    stated, locale = second_archive(loads_locale=True), many(1, 360_000)
    assert second_archive_mib([], stated) == 0
    assert second_archive_mib([cpio.regular("args", b"a" * 4096), *locale], stated) == 0
    assert second_archive_mib(many(1, 8 * MIB), stated) == 16
    assert second_archive_mib(many(4096, 1), stated) >= 2 * 16 - 1
    without = second_archive(loads_locale=False)
    assert second_archive_mib([cpio.regular("args", b"a" * 65536)], without) == 0
    assert second_archive_mib(locale, without) == 1


def test_two_cpus_are_in_what_the_image_states() -> None:
    assert [more_cpus_mib(cpus) for cpus in (1, 2, 3, 64)] == [0, 0, 1, 62]


@pytest.mark.parametrize("sample", ["static", "dynamic PIE"])
def test_an_older_kernel_needs_more(tmp_path: Path, sample: str) -> None:
    linked = tmp_path / "linked"
    linked.write_bytes(program(SAMPLES[sample]))
    stated = []
    for one_copy in ("true", "false"):
        sysroot = make_sysroot(tmp_path / one_copy)
        description = sysroot / "kernel" / "kernel.json"
        text = description.read_text()
        assert '"one_copy": true' in text
        description.write_text(text.replace('"one_copy": true', f'"one_copy": {one_copy}'))
        files: Sequence[cpio.Entry] = [*companions(linked), *many(1, 20_000_000)]
        pack_image(
            str(linked), str(tmp_path / f"out-{one_copy}"),
            sysroot=str(sysroot), link_command=[], name="p", files=files,
        )  # fmt: skip
        stated.append(read_facts(str(tmp_path / f"out-{one_copy}")).memory_min_mib)
    assert stated[1] > stated[0] + 18
