"""What differs from a file system of the host, of the operations in
tests/boot/programs/file_operations.c: data for the test that runs them and for docs/files.md.
"""

from typing import NamedTuple

NINE_P, VIRTIOFS, DISK = "9p", "virtiofs", "disk"
SHARED = (NINE_P, VIRTIOFS)
OK = "ok"


class Difference(NamedTuple):
    """operation: its name in the program; words: what it is, for people; results: by way, what the
    program says there, if not what it says on the host; by_root: only if root runs the machine.
    """

    operation: str
    words: str
    results: dict[str, str]
    by_root: bool = False


DIFFERENCES = (
    Difference(
        "append_by_processes",
        "several processes append to one file (`O_APPEND`)",
        {NINE_P: "lines lost"},
    ),
    Difference(
        "unlink_then_truncate",
        "`ftruncate` of an open file without a name",
        {NINE_P: "ENOENT"},
    ),
    Difference(
        "unlink_then_chmod",
        "`fchmod`, `futimens` of an open file without a name",
        {NINE_P: "ENOENT"},
    ),
    Difference("fifo", "`mkfifo`", {NINE_P: "ENXIO"}),
    Difference("unix_socket", "`bind` of a UNIX socket", {NINE_P: "ENXIO"}),
    Difference(
        "both_kinds_of_lock",
        "`flock` and `fcntl` locks of one file by two descriptors",
        {NINE_P: "EAGAIN"},
    ),
    Difference("rename_noreplace", "`RENAME_NOREPLACE`", {NINE_P: "EINVAL"}),
    Difference("rename_exchange", "`RENAME_EXCHANGE`", {NINE_P: "EINVAL"}),
    Difference("allocate", "`fallocate`", {NINE_P: "EOPNOTSUPP"}),
    Difference("allocate_keep_size", "`FALLOC_FL_KEEP_SIZE`", {NINE_P: "EOPNOTSUPP"}),
    Difference("punch_hole", "`FALLOC_FL_PUNCH_HOLE`", {NINE_P: "EOPNOTSUPP"}),
    Difference("seek_data", "`SEEK_DATA`, `SEEK_HOLE`", {NINE_P: "wrong"}),
    Difference("set_times", "nanoseconds by `utimensat`", {NINE_P: "whole seconds"}),
    Difference("access_list", "POSIX access lists", {NINE_P: "EOPNOTSUPP"}),
    Difference("lease", "`F_SETLEASE`", {NINE_P: "EINVAL"}),
    Difference("handle", "`name_to_handle_at`", {NINE_P: "EOPNOTSUPP"}),
    Difference(
        "map_appending",
        "writes by a shared mapping of a descriptor with `O_APPEND`",
        dict.fromkeys(SHARED, "appended"),
    ),
    Difference("open_without_a_name", "`O_TMPFILE`", dict.fromkeys(SHARED, "EOPNOTSUPP")),
    Difference("birth", "`STATX_BTIME`", dict.fromkeys(SHARED, "no birth time")),
    Difference("set_uid", "the set-uid bit", dict.fromkeys(SHARED, "EPERM")),
    Difference(
        "set_gid", "the set-gid bit, of root's shares", dict.fromkeys(SHARED, "EPERM"), True
    ),
    Difference("device_node", "device nodes", dict.fromkeys(SHARED, "EPERM")),
)


def table() -> list[str]:
    """The table of docs/files.md, line by line."""
    lines = [f"| | {' | '.join(SHARED)} |", "|---|---|---|"]
    for one in DIFFERENCES:
        cells = " | ".join(one.results.get(way, OK) for way in SHARED)
        lines.append(f"| {one.words} | {cells} |")
    return lines
