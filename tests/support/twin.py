"""The same shell line with gcc and with uk-gcc, in directories that hold the same files.

Both get status, output and files compared. What records its directory (debug information) takes
it from PWD, and there both are told the same.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ukcc.cc.toolchain import find_compiler, find_tool

BIN = Path(sys.executable).parent
DEADLINE = 120  # seconds

FILES = {
    "a.c": "#include <stdio.h>\nint f(int);\n"
    'int main(int c, char **v) { printf("hi %d\\n", f(c)); return 42; }\n',
    "b.c": "int f(int x) { return x + 1; }\n",
    "one.c": "#include <stdio.h>\n"
    'int main(int c, char **v) { printf("hi %d\\n", c); return 42; }\n',
    "one.cc": "#include <iostream>\n"
    'int main(int c, char **v) { std::cout << "hi " << c << std::endl; return 42; }\n',
    "bad.c": "int main(void) { return x }\n",
    "warn.c": "int main(void) { int unused; return 42; }\n",
    "h.h": "#define H 42\n",
    "useh.c": '#include "h.h"\nint main(void) { return H; }\n',
    "s.S": "#define N 42\n.globl main\nmain: mov $N,%eax\n ret\n"
    '.section .note.GNU-stack,"",@progbits\n',
    "t.s": '.globl main\nmain: mov $42,%eax\n ret\n.section .note.GNU-stack,"",@progbits\n',
    "nested.c": "int call(int (*f)(int)) { return f(1); }\n"
    "int main(int c, char **v) { int g(int x) { return x + c + 40; } return call(g); }\n",
}

ENVIRON = {"UKCC_PLAIN": "1", "LC_ALL": "C.UTF-8", "PWD": "/proc/self/cwd"}

# What differs from one run of the same compiler to the next, or names the libraries of the link.
_OWN_CONTENT = (".gch", ".gcno", ".gcda", ".map", ".dep", "gmon.out")
_TEMPORARY = re.compile(rb"/cc[A-Za-z0-9]{6}\b")


class Outcome(NamedTuple):
    """What a line left behind: files by name, None for directories."""

    status: int
    stdout: bytes
    stderr: bytes
    files: "dict[bytes, bytes | None]"


def shell(line: str, where: Path, **environ: str) -> "subprocess.CompletedProcess[bytes]":
    """Runs a line of bash in a directory, with our commands first on PATH and $CC for uk-gcc."""
    return subprocess.run(
        ["bash", "-c", line],
        cwd=where,
        env={
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "CC": str(BIN / "uk-gcc"),
            "LC_ALL": "C",
            **environ,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE,
    )


def both(
    line: str,
    where: Path,
    name: str = "gcc",
    files: "Mapping[str, str]" = FILES,
    **environ: str,
) -> "tuple[Outcome, Outcome]":
    """The outcomes of a line in which $CC stands for the compiler: the real one's, then ours.

    Both run at the same time, among `files` (name → text). Links of ours are without a kernel
    unless `environ` says otherwise.
    """
    compilers = {"real": find_compiler(name, os.environ), "ours": str(BIN / f"uk-{name}")}
    running = {}
    for kind, compiler in compilers.items():
        directory = where / kind
        directory.mkdir()
        for file, text in files.items():
            (directory / file).write_text(text)
        running[kind] = subprocess.Popen(
            ["bash", "-c", line],
            cwd=directory,
            env={**os.environ, **ENVIRON, "CC": compiler, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    texts = {kind: process.communicate(timeout=DEADLINE) for kind, process in running.items()}
    real, ours = (
        Outcome(
            running[kind].returncode,
            *(_stable(text, compilers, where / kind) for text in texts[kind]),
            _files(where / kind),
        )
        for kind in compilers
    )
    return real, ours


def assert_same(real: Outcome, ours: Outcome) -> None:
    """Fails unless the wrapper left what the compiler left."""
    assert ours.stderr == real.stderr
    assert ours.stdout == real.stdout
    assert ours.status == real.status
    assert ours.files.keys() == real.files.keys()
    for name, content in real.files.items():
        if _is_comparable(name, content):
            assert ours.files[name] == content, os.fsdecode(name)


def _is_comparable(name: bytes, content: "bytes | None") -> bool:
    if content is None or os.fsdecode(name).endswith(_OWN_CONTENT):
        return False
    if content.startswith(b"\x7fELF"):
        # Programs and shared libraries hold the libraries; LTO sections have random names, and
        # instrumented objects the time.
        return content[16] == 1 and b".gnu.lto_" not in content and b".gcda" not in content
    return not content.startswith(b"!<arch>\n") or b".gnu.lto_" not in content


def _stable(text: bytes, compilers: "dict[str, str]", directory: Path) -> bytes:
    text = text.replace(os.fsencode(directory), b"DIRECTORY")
    for compiler in compilers.values():
        text = text.replace(os.fsencode(compiler), b"gcc")
    text = text.replace(os.fsencode(find_tool("ld", os.environ)), b"ld")
    return _TEMPORARY.sub(b"/TEMPORARY", text)


def _files(directory: Path) -> "dict[bytes, bytes | None]":
    found: dict[bytes, bytes | None] = {}
    for path in directory.rglob("*"):
        # libgcov puts the directory into a name.
        name = os.fsencode(path.relative_to(directory)).replace(b"#ours#", b"#real#")
        content = path.read_bytes() if path.is_file() else None
        found[name] = None if content is None else _TEMPORARY.sub(b"/TEMPORARY", content)
    return found
