"""Builds a target in C: files of sysroot/init and a small driver, with ASan and UBSan."""

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
    sources = [HERE / "init" / f"{target.name}.c", *(init / part for part in target.parts)]
    flags = ["-g", "-O1", *_WARNINGS, "-fno-sanitize-recover=all", f"-I{init}"]
    subprocess.run([*command, *flags, *sources, "-o", program], check=True)
