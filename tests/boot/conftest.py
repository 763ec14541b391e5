"""Builds images by the venv's uk-gcc and boots them.

A boot carries a deadline in seconds, multiplied by UKCC_TEST_TIMEOUT_FACTOR on a slow machine; what
the console showed is printed, so that pytest has it for a failure.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from support.boots import BIN, DEADLINE, FACTOR, Boot, Build, Result, run_argv

from ukcc import paths, proc
from ukcc.errors import UkccError
from ukcc.vm.hypervisor import accel
from ukcc.vm.hypervisor.qemu import PROGRAM


def pytest_report_header() -> str:
    """Which QEMU is first on PATH, for the log: the versions differ."""
    try:
        return proc.output([PROGRAM, "--version"]).partition("\n")[0]
    except UkccError as error:
        return error.message


@pytest.fixture(scope="session", autouse=True)
def accelerator() -> None:
    """What the probe has to say once, it says before the tests compare standard errors."""
    accel.probe()


@pytest.fixture(scope="session", autouse=True)
def signals_of_a_terminal() -> Iterator[None]:
    """What nohup(1) or a script's `&` has us ignore, `ukcc run` would ignore as well.

    A handler of ours is the default action in a child.
    """
    signals = (signal.SIGINT, signal.SIGHUP)
    ignored = [s for s in signals if signal.getsignal(s) is signal.SIG_IGN]
    for signum in ignored:
        signal.signal(signum, lambda *_: None)
    yield
    for signum in ignored:
        signal.signal(signum, signal.SIG_IGN)


@pytest.fixture(scope="session")
def build_image(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """`build_image(source, *flags)`: source text (C, or C++ with `language="c++"`) -> image."""
    if paths.current_sysroot() is None:
        pytest.fail("there is no sysroot to link against: run `make setup`", pytrace=False)
    built: dict[tuple[str, ...], Path] = {}

    def build(source: str, *flags: str, name: str = "app", language: str = "c") -> Path:
        key = (source, name, language, *flags)
        if key not in built:
            directory = tmp_path_factory.mktemp(name)
            code = directory / f"{name}.{'cc' if language == 'c++' else 'c'}"
            code.write_text(source)
            compiler = BIN / ("uk-g++" if language == "c++" else "uk-gcc")
            libraries = [flag for flag in flags if flag.startswith("-l")]  # looked at in order
            options = [flag for flag in flags if not flag.startswith("-l")]
            argv = [str(compiler), "-O2", "-g", *options, str(code), *libraries]
            argv += ["-o", str(directory / name)]
            done = subprocess.run(argv, capture_output=True, text=True)
            assert done.returncode == 0, f"{argv}\n{done.stderr}"
            built[key] = directory / name
        return built[key]

    return build


@pytest.fixture
def boot() -> Boot:
    """`boot(image, *args, timeout=…, options=…, env=…, stdin=…) -> (status, stdout, stderr)`."""

    def run(
        image: Path,
        *args: "str | bytes",
        timeout: float = DEADLINE,
        options: Sequence[str] = (),
        env: "Mapping[str, str] | None" = None,
        stdin: "bytes | None" = None,
    ) -> Result:
        argv = run_argv(image, args, options)
        machine = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
        )
        try:
            stdout, stderr = machine.communicate(stdin, timeout * FACTOR)
        except subprocess.TimeoutExpired:
            machine.kill()
            _show(argv, *machine.communicate())
            pytest.fail(f"no end after {timeout * FACTOR:g} s")
        _show(argv, stdout, stderr)
        return Result(machine.returncode, stdout, stderr)

    return run


def _show(argv: Sequence[bytes], stdout: bytes, stderr: bytes) -> None:
    print("$", b" ".join(argv).decode(errors="replace"))
    print(stdout[-20000:].decode(errors="replace"))
    print(stderr[-20000:].decode(errors="replace"), file=sys.stderr)
