"""`ukcc run` with a `firecracker` or `cloud-hypervisor` on PATH that is fake_vmm.py."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

FAKE = Path(__file__).with_name("fake_vmm.py")
UKCC = Path(sys.executable).with_name("ukcc")
DEADLINE = 60.0 * float(os.environ.get("UKCC_TEST_TIMEOUT_FACTOR", "1"))  # seconds
BOTH = ("firecracker", "cloud-hypervisor")

# How the guest of an image says its application's status, and how its machine then ends.
ENDS = [["say", "UKCC1 exit 7\n"], ["exit", 0]]


class Result(NamedTuple):
    """How a run ended."""

    status: int
    stdout: str
    stderr: str


class Scene:
    """One VMM on PATH, with its scenario. vmm: its name; image: what is booted."""

    def __init__(self, root: Path, vmm: str, image: Path) -> None:
        self.root, self.vmm, self.image = root, vmm, image
        self.bin = root / "bin"
        self.bin.mkdir()
        # the VMM's user is another one, and it has notes to make
        for place in (root, self.bin):
            place.chmod(0o777)
        shutil.copy(FAKE, self.bin / vmm)
        (root / "runtime").mkdir(0o700)
        self.scenario(guest=ENDS)
        self.started: list[subprocess.Popen[bytes]] = []

    def scenario(self, **scenario: Any) -> None:
        """What the VMM does from now on; its notes begin anew."""
        (self.bin / "scenario.json").write_text(json.dumps(scenario))
        (self.bin / "requests.jsonl").unlink(missing_ok=True)

    @property
    def environment(self) -> "dict[str, str]":
        """In which `ukcc` finds this VMM, and notes its machines here."""
        return {
            **os.environ,
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "XDG_RUNTIME_DIR": str(self.root / "runtime"),
        }

    def argv(self, *options: object, arguments: Sequence[object] = ()) -> "list[str]":
        """`ukcc run` with this VMM, without a network unless one is given."""
        words = [str(word) for word in options]
        net = [] if "--net" in words else ["--net", "none"]
        return [
            *(str(UKCC), "run", "--no-config", "--vmm", self.vmm, *net, *words),
            *(str(self.image), *map(str, arguments)),
        ]

    def run(self, *options: object, **more: Any) -> Result:
        """Runs it to its end."""
        return self.ukcc(*self.argv(*options)[1:], **more)

    def ukcc(self, *words: object, **more: Any) -> Result:
        """Any command of `ukcc`."""
        given = {"stdin": subprocess.DEVNULL, "env": self.environment, **more}
        argv = [str(UKCC), *map(str, words)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE, **given)
        print(argv, done.returncode, done.stdout[-4000:], done.stderr[-4000:], sep="\n")
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *options: object, **more: Any) -> "subprocess.Popen[bytes]":
        """Starts it; it is killed at the scene's end, whatever the test has found."""
        given = {"stdin": subprocess.DEVNULL, "env": self.environment, **more}
        machine = subprocess.Popen(
            self.argv(*options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **given
        )
        self.started.append(machine)
        return machine

    @property
    def notes(self) -> "list[dict[str, Any]]":
        """The VMM's own: how it was started, then each request."""
        path = self.bin / "requests.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def requests(self) -> "list[tuple[str, str, Any]]":
        """(method, path, body) of each."""
        return [(n["method"], n["path"], n["body"]) for n in self.notes if "method" in n]


@contextmanager
def scene(vmm: str, image: Path) -> Iterator[Scene]:
    """In /tmp itself: the VMM may run as a user to whom pytest's directories are closed."""
    root = Path(tempfile.mkdtemp(prefix="ukcc-vmm-test-"))
    made = Scene(root, vmm, image)
    try:
        yield made
    finally:
        for machine in made.started:
            machine.kill()
            machine.wait()
        shutil.rmtree(root)
