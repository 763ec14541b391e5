"""What ukcc prints of names and texts that it has not made."""

import json
import subprocess
import sys

import click.testing
import pytest

from ukcc.cli import main, ps
from ukcc.errors import UkccError
from ukcc.terminal import shown, shown_bytes

READABLE = "größe 日本語\u3000\u0627\u0644 ½ 🙂"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain, 'quoted' and \\ as it is", "plain, 'quoted' and \\ as it is"),
        (READABLE, READABLE),
        ("\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"),
        ("a\nb\r\tc\0\x7f", "a\\nb\\r\\tc\\x00\\x7f"),
        ("\x9b31m\x85", "\\x9b31m\\x85"),  # C1: a CSI in one byte, a line's end
        ("\u202etxt.exe\u2066\u200f\ufeff", "\\u202etxt.exe\\u2066\\u200f\\ufeff"),
        ("\u2028\u2029\ue000\U000e0041", "\\u2028\\u2029\\ue000\\U000e0041"),
        ("\udcff\udc1b\ud800", "\\xff\\udc1b\\ud800"),
    ],
)
def test_control_characters_are_escaped(text: str, safe: str) -> None:
    assert shown(text) == safe
    assert shown(safe) == safe  # once more changes nothing
    assert safe.encode()


def test_bytes() -> None:
    assert shown_bytes(b"\xffcaf\xc3\xa9\x1b") == "\\xffcafé\\x1b"


def test_an_error_is_one_line_whatever_it_names() -> None:
    error = UkccError("/tmp/\x1b[2Jname\nukcc: all is well", "rename \u202eit")
    line = error.line("ukcc")
    assert line == ("ukcc: error: /tmp/\\x1b[2Jname\\nukcc: all is well; rename \\u202eit")
    assert UkccError("/tmp/größe: keine").line("x") == "x: error: /tmp/größe: keine"


def test_the_command_prints_no_control_characters(tmp_path) -> None:  # type: ignore[no-untyped-def]
    name = tmp_path / "\x1b]0;owned\x07\x1b[31m"
    name.write_bytes(b"no image")
    result = click.testing.CliRunner().invoke(main, ["inspect", str(name)])
    assert result.exit_code == 1 and "\\x1b]0;owned\\x07" in result.output
    assert not {"\x1b", "\x07"} & set(result.output)


def test_rows_of_ps() -> None:
    class Strange:
        facts = None
        name, state = "\x1b[2J", "running\u202e"

    assert ps._row(Strange()) == (  # type: ignore[arg-type]
        "\\x1b[2J", "", "", "", "", "", "running\\u202e"
    )  # fmt: skip


def test_json_keeps_its_own_escapes() -> None:
    assert json.loads(json.dumps("\x1b")) == "\x1b"


def test_nothing_of_it_is_loaded_for_an_ordinary_error() -> None:
    """The compile path may say an error without it."""
    code = (
        "import sys, ukcc.errors as e; e.UkccError('a').line('b');"
        " print('ukcc.terminal' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
