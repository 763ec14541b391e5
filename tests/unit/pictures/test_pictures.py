"""Boxes, bytes that are given once, tables, and pictures of strangers' names."""

import importlib
import json
import re
from pathlib import Path

import pytest

from ukcc.errors import UkccError
from ukcc.image.elf import Symbol
from ukcc.pictures import draw, vega
from ukcc.pictures.box import Box, Building, changes, largest_first, levels, pruned, walk
from ukcc.pictures.ledger import Ledger
from ukcc.pictures.objects import named_ranges, sources_of
from ukcc.pictures.table import change_lines, tree_lines

HOSTILE = "</script><script>alert(1)</script>\x1b[31m\u202e&\"'<b>"
TREE = Box("all", 1, (Box("a", 5, (Box("x", 4), Box("y", 2))), Box(HOSTILE, 3)))


def test_a_tree_is_as_large_as_its_boxes() -> None:
    tree = Building("all")
    tree.at(["a", "x"]).add(4, 1)
    tree.at(["a"]).add(5)
    tree.at(["a", "x"]).add(1, 2)
    built = tree.built()
    assert built == Box("all", 0, (Box("a", 5, (Box("x", 5, (), 3),)),))
    assert built.size == 10 and levels(built) == 2


def test_a_deep_tree_is_built() -> None:
    tree = Building("all")
    tree.at(["f"] * 250).add(1)
    assert largest_first(tree.built()).size == 1
    assert levels(pruned(tree.built(), 1, 10)) == 10


def test_what_is_too_small_stays_in_its_parent() -> None:
    small = pruned(TREE, 4, 2)
    assert small.size == TREE.size
    assert [box.name for _, box in walk(small, 9)] == ["a", "x"]
    assert (small.own, small.children[0].own) == (4, 7)


def test_changes_are_sorted_by_how_much() -> None:
    after = Box("all", 1, (Box("a", 5, (Box("x", 1), Box("z", 30))),))
    found = changes(TREE, after, 2)
    assert [(c.path, c.difference) for c in found] == [
        (("a", "z"), 30),
        (("a",), 25),
        ((HOSTILE,), -3),
        (("a", "x"), -3),
        (("a", "y"), -2),
    ]
    assert changes(TREE, TREE, 9) == []
    assert list(change_lines([], 5)) == ["no difference"]


def test_a_table_is_safe_for_a_terminal() -> None:
    lines = [*tree_lines(TREE, 2, 0), *change_lines(changes(TREE, Box("all"), 2), 1)]
    assert all(line.isprintable() for line in lines)
    assert lines[0].split() == ["11", "73.3", "%", "a"]
    assert "\\x1b" in lines[3] and lines[-1] == "3 smaller ones: --json has all"


def test_each_byte_is_given_once() -> None:
    ledger = Ledger(100)
    ledger.claim(10, 20, ("a",))
    ledger.claim(15, 30, ("b",))
    ledger.claim(0, 1000, ("c",))
    ledger.claim(-5, 50, ("d",))
    assert list(ledger.entries()) == [
        (0, 10, ("c",)),
        (10, 20, ("a",)),
        (20, 30, ("b",)),
        (30, 100, ("c",)),
    ]
    assert list(ledger.free()) == []
    assert list(Ledger(5).free(3, 9)) == [(3, 5)]
    assert list(Ledger(5).free(9, 12)) == []


def symbol(name: str, addr: int, size: int, unit: int = -1) -> Symbol:
    return Symbol(name, addr, size, 2, unit < 0, 1, unit)


def test_a_global_between_two_locals_of_an_object_is_of_that_object() -> None:
    found = named_ranges(
        [
            symbol("one", 0, 10, 0),
            symbol("between", 10, 10),
            symbol("two", 20, 5, 0),
            symbol("edge", 30, 10),
            symbol("three", 40, 10, 1),
            symbol("alias", 40, 10),
            symbol("overlapping", 45, 100),
            symbol("outside", 400, 1),
        ],
        0,
        60,
    )
    assert [(n.symbol.name, n.start, n.end, n.unit) for n in found] == [
        ("one", 0, 10, 0),
        ("between", 10, 20, 0),
        ("two", 20, 25, 0),
        ("edge", 30, 40, -1),
        ("three", 40, 50, 1),
        ("overlapping", 50, 60, -1),
    ]
    assert found[3].between == (0, 1)


def test_the_order_of_a_kernels_files_tells_their_directories() -> None:
    units = ["head_64.o", "main.c", "version.c", "initramfs.c", "unheard_of.c", "uk_archive.c"]
    sources = sources_of(units)
    assert sources.paths == {
        0: "arch/x86/kernel/head_64.S",
        1: "init/main.c",
        2: "init/version.c",
        3: "init/initramfs.c",
        5: "init/uk_archive.c",
    }
    first, second = symbol("a", 0, 1, 2), symbol("c", 2, 1, 3)
    edge = named_ranges([first, symbol("b", 1, 1), second], 0, 3)[1]
    assert edge.unit == -1 and sources.subsystem(edge) == "init"


def test_text_in_a_script_cannot_end_it() -> None:
    text = draw.script_text({"name": HOSTILE + "\u2028"})
    assert not re.search("[<>&\u2028]", text)
    assert json.loads(text) == {"name": HOSTILE + "\u2028"}


@pytest.mark.parametrize("kind", ["calls", "bytes", "changes"])
def test_pictures_of_hostile_names(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    spec = {
        "calls": lambda: vega.calls_picture(TREE, HOSTILE, HOSTILE, "instructions"),
        "bytes": lambda: vega.bytes_picture(TREE, HOSTILE, HOSTILE, "bytes"),
        "changes": lambda: vega.changes_picture(changes(TREE, None, 2), HOSTILE, "", "bytes"),
    }[kind]()
    page, picture = tmp_path / "p.html", tmp_path / "p.svg"
    draw.draw(spec, HOSTILE, page)
    draw.draw(spec, HOSTILE, picture)
    for text in (page.read_text(), picture.read_text()):
        assert "alert(1)" in text  # it is there,
        assert "<script>alert" not in text and "\x1b" not in text and "\u202e" not in text
    assert not re.search(r"<(script|link)[^>]*(src|href)=", page.read_text())


def test_without_the_library_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UkccError) as caught:
        draw.check_output(tmp_path / "a.svg")
    assert "pip install 'ukcc[pictures]'" in caught.value.hint


def test_an_output_that_cannot_be_made_is_found_first(tmp_path: Path) -> None:
    with pytest.raises(UkccError, match="not a kind of picture"):
        draw.check_output(tmp_path / "a.gif")
    with pytest.raises(UkccError, match="no such directory"):
        draw.check_output(tmp_path / "no" / "a.svg")


@pytest.mark.parametrize("is_nested", [False, True])
def test_rows_for_vega_have_every_size_once(is_nested: bool) -> None:
    found = vega.rows(TREE, is_nested=is_nested)
    assert sum(row["own"] for row in found) == TREE.size
    assert [row["id"] for row in found] == list(range(len(found)))
    assert all(row["parent"] is None or row["parent"] < row["id"] for row in found)
    assert {row["name"]: row["size"] for row in found}["a"] == 11
    if is_nested:  # areas are given to leaves only
        inner = {row["parent"] for row in found}
        assert all(not row["own"] for row in found if row["id"] in inner)
