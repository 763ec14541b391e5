"""What a link says of a program that cannot load a locale; of any other it says nothing."""

from pathlib import Path

import pytest
from support.builders import BIN, clean_environment

from ukcc import proc
from ukcc.image.facts import read_metadata

PLAIN = '#include <stdio.h>\nint main(void) { puts("x"); return 0; }\n'
LOADS = "#include <locale.h>\nint main(void) { return !setlocale(LC_ALL, 0); }\n"
STARTS = '#include <stdlib.h>\nint main(void) { return system("true"); }\n'
STREAM = "#include <iostream>\nint main() { std::cout << 1; }\n"


@pytest.mark.parametrize(
    ("compiler", "source", "flags", "said"),
    [
        ("uk-gcc", PLAIN, (), False),
        ("uk-gcc", PLAIN, ("-s",), False),
        ("uk-gcc", LOADS, (), None),
        ("uk-gcc", STARTS, (), None),
        ("uk-g++", STREAM, (), None),
        # nobody has asked what it would import
        ("uk-gcc", PLAIN, ("-static",), None),
        ("uk-gcc", PLAIN, ("-Wl,-e,main",), None),
    ],
)
def test_a_link(
    compiler: str, source: str, flags: "tuple[str, ...]", said: "bool | None", tmp_path: Path
) -> None:
    file = tmp_path / ("a.cc" if compiler == "uk-g++" else "a.c")
    file.write_text(source)
    words = [str(BIN / compiler), str(file), *flags, "-o", str(tmp_path / "a")]
    proc.run(words, env=clean_environment())
    assert read_metadata(str(tmp_path / "a")).get("loads_locale") is said
