"""The targets: what is read, and by which file here."""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]  # of the checkout
CORPUS = HERE / "corpus"


@dataclass(frozen=True)
class Target:
    """Python: `targets/NAME.py`, whose `check(data)` raises nothing but UkccError.

    C: `init/NAME.c`, which includes files of sysroot/init. longest: bytes of an input; reads: for
    the tables.
    """

    name: str
    reads: str
    longest: int = 4096

    @property
    def is_c(self) -> bool:
        """Whether it is built by clang."""
        return (HERE / "init" / f"{self.name}.c").exists()

    @property
    def seeds(self) -> Path:
        """The committed corpus."""
        return CORPUS / self.name


TARGETS = (
    Target("reports", "reports of a guest, in pieces", 8192),
    Target("core", "trimmed cores", 16384),
    Target("record", "the port of the exit record, in pieces"),
    Target("console", "the console: traces, panics, lines for a terminal"),
    Target("qmp", "QEMU's events and answers"),
    Target("monitor", "registers and memory of a machine that hangs"),
    Target("headers", "ELF headers, loader tags, debug information taken out", 16384),
    Target("layout", "a program that `ukcc pack` makes an image of", 16384),
    Target("shared", "shared libraries, and programs as a machine gets them", 16384),
    Target("elf", "ELF sections, symbols and notes, of anybody's image", 16384),
    Target("sites", "system calls in a program's code", 16384),
    Target("needs", "system calls in a program's code, and their numbers", 16384),
    Target("image", "an image before it runs: notes, metadata, archive", 24576),
    Target("rekernel", "an image that gets another kernel", 24576),
    Target("inspect", "an image, by `ukcc inspect`", 24576),
    Target("modules", "files that a crashed process had mapped", 8192),
    Target("ldcache", "ld.so.cache"),
    Target("cpio", "archives of images; written again, they are the same"),
    Target("sysroot", "exported sysroots"),
    Target("metadata", "notes and metadata; written again, they are the same"),
    Target("ar", "indexes of static libraries, by both of their readers"),
    Target("manifest", "manifests of snapshots, and QEMU's words for them"),
    Target("vmm", "another VMM's console with a record, events, answers, manifests"),
    Target("carried", "settings that an image carries"),
    Target("toml", "uk.toml"),
    Target("trace", "a trace of a run, for `--learn`"),
    Target("qcow2", "headers of qcow2 images", 8192),
    Target("disk", "the first bytes of disks"),
    Target("accounts", "passwd and group of an image"),
    Target("dhcp_answer", "init: answers by DHCP", 1500),
    Target("router", "init: announcements of routers", 600),
    Target("netlink_answer", "init: the kernel's answers by netlink", 300),
    Target("settings", "init: settings, arguments, variables, the kernel's command line"),
    Target("request_lines", "init: what the host asks for", 2048),
    Target("passwd", "init: passwd, group and a user", 2048),
    Target("extents", "init: the parts of a program's file", 2048),
    Target("coredump", "init: a core and the maps of the process", 8192),
)


def find(names: "list[str]") -> "list[Target]":
    """Those of these names; all without any. Raises KeyError for an unknown one."""
    known = {target.name: target for target in TARGETS}
    return [known[name] for name in names] or list(TARGETS)
