"""Where a dynamic loader looks for a library: the rules of glibc's and of musl's.

Nothing of a program or library is run to find this out. Sources: ld.so(8); glibc 2.36,
elf/dl-load.c (_dl_map_object, fillin_rpath, is_dst); musl 1.2, ldso/dynlink.c (load_library,
fixup_rpath).

Subdirectories for certain processors (glibc-hwcaps) are not searched: what is found there need not
run on the machine's processor, what is found beside them does.
"""

from __future__ import annotations

# Importing pathlib would cost a link 5 ms:
# ruff: noqa: PTH120, PTH123
import os

from ukcc import paths
from ukcc.errors import UkccError
from ukcc.image import ldcache
from ukcc.image.loader_tags import LoaderTags
from ukcc.image.shared_object import SharedObject, open_shared, soname_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Of distributions with and without multiarch; a file for another machine is passed over.
_DEFAULT_DIRECTORIES = (
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
)

# What $LIB is depends on how the host's glibc was built: Debian's, Fedora's, and the plain one.
_LIB = ("lib/x86_64-linux-gnu", "lib64", "lib")
_PLATFORM = "x86_64"

_MUSL_DIRECTORIES = "/lib:/usr/local/lib:/usr/lib"
_MUSL_OWN = ("c.", "pthread.", "rt.", "m.", "dl.", "util.", "xnet.")  # libc.so has them all
_NAME_MAX = 255
_MOST = 4096  # libraries of one program
_LONGEST_PATH_FILE = 65536


class Loaded:
    """A file that is loaded: the program, its loader, or one of its libraries.

    name: what it was asked for by, first, as it stands in the file `needed_by`; origin: its
    directory, which `$ORIGIN` means; aliases: other names that lead to the same file, each with who
    asked by it.
    """

    __slots__ = ("aliases", "dynamic", "file", "name", "needed_by", "origin")

    def __init__(
        self,
        name: str,
        dynamic: LoaderTags,
        origin: str,
        needed_by: Loaded | None = None,
        file: SharedObject | None = None,
    ) -> None:
        self.name = name
        self.dynamic = dynamic
        self.origin = origin
        self.needed_by = needed_by
        self.file = file
        self.aliases: list[tuple[str, Loaded]] = []

    @property
    def path(self) -> str:
        """What messages call it."""
        return self.file.path if self.file else self.name

    def ancestry(self) -> Iterable[Loaded]:
        """The file itself, what asked for it, and so on up to the program."""
        at: Loaded | None = self
        while at is not None:
            yield at
            at = at.needed_by


class Missing(UkccError):
    """A library that a loader would not find, or not load. gcc links a program all the same."""


class LinkedFiles:
    """The shared libraries among the files that a linker opened, by what programs call them.

    Of two with the same name, a linker binds to the one that it opened first.
    """

    def __init__(self, opened: Iterable[str]) -> None:
        self._opened = opened
        self._paths: dict[str, str] | None = None

    def find(self, name: str) -> SharedObject | None:
        """The library of that name, wherever it lies."""
        if self._paths is None:
            libraries = [_absolute(p) for p in self._opened if not p.endswith(".a")]
            self._paths = {soname_of(path): path for path in reversed(libraries)}
        path = self._paths.get(name)
        return open_shared(path) if path else None


class Glibc:
    """The rules of ld-linux-x86-64.so.2.

    home: where its own libraries are: they come from there, whatever else is said. linked: files
    that a linker took for these names, and directories: both searched as if by LD_LIBRARY_PATH,
    before it; library_path: that variable's value, of which `$ORIGIN` is the program's directory.
    cache: ld.so.cache's path. defaults: searched last.
    """

    soname_counts = True

    def __init__(
        self,
        home: str,
        directories: Sequence[str] = (),
        library_path: str = "",
        cache: str = ldcache.PATH,
        defaults: Sequence[str] = _DEFAULT_DIRECTORIES,
        *,
        linked: Iterable[str] = (),
    ) -> None:
        self._home = home
        self._linked = LinkedFiles(linked)
        self._directories = directories
        self._library_path = library_path.replace(";", ":")
        self._cache_path = cache
        self._cache: ldcache.LoaderCache | None = None
        self._defaults = defaults

    def expand(self, name: str, by: Loaded) -> str:
        """A name from DT_NEEDED, its tokens replaced."""
        return _first_that_exists(_expanded(name, by.origin))

    def find(self, name: str, by: Loaded) -> SharedObject | None:
        """The library of that name without a slash, as asked for by `by`."""
        own = open_shared(f"{self._home}/{name}") if self._home else None
        return (
            own
            or self._by_rpath(name, by)
            or self._linked.find(name)
            or _search(self._directories, name)
            or _search(_path(self._library_path, _program(by).origin), name)
            or _search(_path(by.dynamic.runpath or "", by.origin), name)
            or self._by_cache(name, by)
            or (_search(self._defaults, name) if by.dynamic.has_default_directories else None)
        )

    def is_own(self, name: str) -> bool:
        """Whether the name is the loader's."""
        return False

    def by_path(self, path: str) -> SharedObject | None:
        """The library at a path; glibc's own are the sysroot's, whatever path they are named by."""
        own = open_shared(f"{self._home}/{os.path.basename(path)}") if self._home else None  # noqa: PTH119
        return own or open_shared(_absolute(path)) or self._linked.find(path)

    def _by_rpath(self, name: str, by: Loaded) -> SharedObject | None:
        """DT_RPATH of the file and of all that asked for it, unless the file has DT_RUNPATH."""
        if by.dynamic.runpath is not None:
            return None
        for loaded in by.ancestry():
            # A file with a DT_RUNPATH has no DT_RPATH that counts, for its libraries either.
            if loaded.dynamic.rpath and loaded.dynamic.runpath is None:
                found = _search(_path(loaded.dynamic.rpath, loaded.origin), name)
                if found is not None:
                    return found
        return None

    def _by_cache(self, name: str, by: Loaded) -> SharedObject | None:
        if self._cache is None:
            self._cache = ldcache.parse_cache(_contents(self._cache_path, ldcache.LARGEST))
        path = self._cache.find(name)
        if not path.startswith("/"):
            return None
        defaults = tuple(f"{directory}/" for directory in self._defaults)
        if path.startswith(defaults) and not by.dynamic.has_default_directories:
            return None
        return open_shared(path)


class Musl:
    """The rules of ld-musl-x86_64.so.1, which is at `interpreter`.

    root: where its configuration is looked for, for tests.
    """

    soname_counts = False

    def __init__(self, interpreter: str, library_path: str = "", root: str = "") -> None:
        self._library_path = library_path
        # The directory above the loader's: musl may be installed below a prefix of its own.
        prefix = os.path.dirname(os.path.dirname(interpreter)).rstrip("/")
        self._configuration = f"{root}{prefix}/etc/ld-musl-x86_64.path"
        self._system: list[str] | None = None

    def expand(self, name: str, by: Loaded) -> str:
        """musl knows no tokens in DT_NEEDED."""
        return name

    def is_own(self, name: str) -> bool:
        """Whether the name is the loader's."""
        return is_musls_own(name)

    def find(self, name: str, by: Loaded) -> SharedObject | None:
        """The library of that name without a slash, as asked for by `by`."""
        if len(name) > _NAME_MAX:
            return None
        found = _search(_musl_path(self._library_path), name)
        for loaded in by.ancestry():
            if found is None:
                found = _search(_musl_run_path(loaded), name)
        return found or _search(self._system_directories(), name)

    def by_path(self, path: str) -> SharedObject | None:
        """The library at a path."""
        return open_shared(_absolute(path))

    def _system_directories(self) -> list[str]:
        if self._system is None:
            text = os.fsdecode(_contents(self._configuration, _LONGEST_PATH_FILE))
            self._system = _musl_path(text or _MUSL_DIRECTORIES)
        return self._system


def is_musls_own(name: str) -> bool:
    """Whether the name is one of those that musl's loader answers to itself, as the C library."""
    return name.startswith("lib") and name[3:].startswith(_MUSL_OWN)


def load(
    program: Loaded, rules: Glibc | Musl, loader: Loaded, missing: list[Missing] | None = None
) -> list[Loaded]:
    """The program's libraries, each once, in the order in which its loader loads them.

    loader: the loader itself, which answers to its own names. missing: gets an error for each
    library that is not there, or is none; without it, the first of them is raised.
    """
    by_name: dict[str, Loaded] = {}
    by_identity: dict[tuple[int, int], Loaded] = {}

    def enter(loaded: Loaded, *names: str) -> None:
        for name in (*names, loaded.dynamic.soname if rules.soname_counts else ""):
            by_name.setdefault(name, loaded)
        if loaded.file:
            by_identity.setdefault(loaded.file.identity, loaded)

    enter(loader, loader.name)
    queue = [program]
    for by in queue:  # grows: breadth first
        for wanted in by.dynamic.needed:
            name = rules.expand(wanted, by)
            if not name:
                raise UkccError(f"{by.path}: damaged ELF file: it needs a library without a name")
            if name in by_name or rules.is_own(name):
                continue
            try:
                file = rules.by_path(name) if "/" in name else rules.find(name, by)
                if file is None and wanted not in by.dynamic.optional:
                    raise _missing(program, name, by)
            except UkccError as error:
                if missing is None:
                    raise
                missing.append(Missing(error.message, error.hint))
                file = None
            if file is None:
                continue
            same = by_identity.get(file.identity)
            if same is not None:
                same.aliases.append((wanted, by))
                by_name[name] = same
                continue
            found = Loaded(wanted, file.dynamic, os.path.dirname(file.path), by, file)
            enter(found, name, file.path)
            queue.append(found)
            if len(queue) > _MOST:
                raise UkccError(f"{program.path}: needs more than {_MOST} libraries")
    return queue[1:]


def expand_in_image(name: str, origin: str) -> str:
    """A name from DT_NEEDED as the sysroot's loader understands it in the machine."""
    *_, meaning = _expanded(name, origin)  # of $LIB the plain one
    return meaning


def _missing(program: Loaded, name: str, by: Loaded) -> Missing:
    behind = "" if by is program else f" for {by.name}"
    return Missing(
        f"{program.name}: needs {name}{behind}, which is not found",
        "name its directory in LD_LIBRARY_PATH",
    )


def _program(loaded: Loaded) -> Loaded:
    *_, last = loaded.ancestry()
    return last


def _search(directories: Iterable[str], name: str) -> SharedObject | None:
    for directory in directories:
        found = open_shared(_absolute(f"{directory.rstrip('/')}/{name}"))
        if found is not None:
            return found
    return None


def _absolute(path: str) -> str:
    """The path from the root, `..` left in it: behind a symbolic link it leads elsewhere."""
    return path if path.startswith("/") else f"{paths.working_directory()}/{path}"


def _path(text: str, origin: str) -> list[str]:
    """A search path of glibc's: an empty part is the working directory, tokens are replaced."""
    if not text:
        return []
    found: dict[str, None] = {}
    for part in text.split(":"):
        found.update(dict.fromkeys(_expanded(part, origin) if part else ["."]))
    return list(found)


def _expanded(text: str, origin: str) -> list[str]:
    """What a text with `$ORIGIN`, `$LIB`, `$PLATFORM` may mean, in braces as well."""
    return list(dict.fromkeys(_with_tokens(text, origin, lib) for lib in _LIB))


def _with_tokens(text: str, origin: str, lib: str) -> str:
    """The text, tokens replaced in one pass: what one stands for is not looked through again."""
    head, *rest = text.split("$")
    tokens = (("ORIGIN", origin), ("LIB", lib), ("PLATFORM", _PLATFORM))
    return head + "".join(_replaced(part, tokens) for part in rest)


def _replaced(part: str, tokens: tuple[tuple[str, str], ...]) -> str:
    """What follows a `$`: a token that no letter, digit or underscore continues, or any text."""
    for name, value in tokens:
        if part.startswith(f"{{{name}}}"):
            return value + part[len(name) + 2 :]
        after = part[len(name) : len(name) + 1]
        if part.startswith(name) and not (after == "_" or (after.isascii() and after.isalnum())):
            return value + part[len(name) :]
    return f"${part}"


def _first_that_exists(paths: list[str]) -> str:
    return next((path for path in paths if os.path.exists(path)), paths[0])  # noqa: PTH110


def _musl_path(text: str) -> list[str]:
    return [part for part in text.replace("\n", ":").split(":") if part]


def _musl_run_path(loaded: Loaded) -> list[str]:
    """DT_RUNPATH, else DT_RPATH; both are inherited. One with a token but $ORIGIN is ignored."""
    dynamic = loaded.dynamic
    text = dynamic.rpath if dynamic.runpath is None else dynamic.runpath
    if not text:
        return []
    text = text.replace("${ORIGIN}", "$ORIGIN")
    if "$" in text.replace("$ORIGIN", ""):
        return []
    return _musl_path(text.replace("$ORIGIN", loaded.origin))


def _contents(path: str, most: int) -> bytes:
    """A file of the host's configuration; empty where it is not there or of no sensible size."""
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError:
        return b""
    return data if len(data) <= most else b""
