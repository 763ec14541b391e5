"""Builds a target in C, which has files of sysroot/init in it, with ASan and UBSan."""

import subprocess
from pathlib import Path

from fuzz.table import HERE, Target
from ukcc import paths

CLANG = "clang-14"  # Debian 12's; scripts/fuzz-packages.txt
_WARNINGS = ("-Wall", "-Wextra", "-Werror")
_SANITIZERS = "address,undefined"


def fuzzer(target: Target, directory: Path) -> Path:
    """The program, made anew. Raises CalledProcessError."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / target.name
    compile_with([CLANG, f"-fsanitize=fuzzer,{_SANITIZERS}"], target, program)
    return program


def runner(target: Target, directory: Path) -> Path:
    """The same by gcc, with a main() that reads files: for hosts without clang."""
    program = directory / target.name
    compile_with(["gcc", f"-fsanitize={_SANITIZERS}", HERE / "init" / "main.c"], target, program)
    return program


def compile_with(command: "list[str | Path]", target: Target, program: Path) -> None:
    """What both have in common."""
    init = Path(paths.data_dir("sysroot")) / "init"
    flags = ["-g", "-O1", *_WARNINGS, "-fno-sanitize-recover=all", f"-I{init}"]
    subprocess.run(
        [*command, *flags, HERE / "init" / f"{target.name}.c", "-o", program], check=True
    )
