"""A kill of the VMM in the middle of writing loses nothing that SQLite had committed.

To the guest it is a power cut. In rollback mode a commit is the removal of the journal, and only
`synchronous=extra` has that on the disk before it returns: with `full` this test fails.
"""

import subprocess
from pathlib import Path

import pytest
from support import killing
from support.boots import DEADLINE, FACTOR, Build, run_argv

# Says of each database what is in it, then commits to one after the other and says so.
WRITER = r"""
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
	const char *path;
	const char *mode;
	sqlite3 *base;
} all[] = {
	{ "/disk/rollback.db", "delete", NULL },
	{ "/disk/wal.db", "wal", NULL },
	{ "/share/rollback.db", "delete", NULL },
	{ "/share/wal.db", "wal", NULL },
};

static const char contents[] =
	"create table if not exists t(i integer primary key, b blob);"
	"pragma integrity_check;"
	"select count(*), coalesce(max(i), 0),"
	"	coalesce(sum(length(b) = 1 + i * 37 % 9000), 0) from t";

static int row(void *unused, int count, char **value, char **name)
{
	(void)unused;
	(void)name;
	while (count--)
		printf("%s ", *value++);
	return 0;
}

static void run(sqlite3 *base, const char *words)
{
	char *problem = NULL;

	if (sqlite3_exec(base, words, row, NULL, &problem) == SQLITE_OK)
		return;
	printf("%s: %s\n", words, problem);
	exit(1);
}

/* argv: the value of `synchronous`, and the highest row that all have. */
int main(int argc, char **argv)
{
	char words[400];
	size_t i;
	long n, from = atol(argv[2]);

	if (argc != 3)
		return 2;
	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (sqlite3_open(all[i].path, &all[i].base))
			return 2;
		sqlite3_busy_timeout(all[i].base, 1000);
		snprintf(words, sizeof(words), "pragma journal_mode=%s; pragma synchronous=%s",
			all[i].mode, argv[1]);
		run(all[i].base, words);
		run(all[i].base, contents);
		printf("%s\n", all[i].path);
	}
	puts("ready");
	fflush(stdout);
	for (n = from + 1;; n++) {
		for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
			snprintf(words, sizeof(words),
				"insert or replace into t values (%ld, randomblob(1 + %ld * 37 %% 9000))",
				n, n);
			run(all[i].base, words);
			printf("%ld %s\n", n, all[i].path);
			fflush(stdout);
		}
	}
}
"""


@pytest.fixture(scope="session")
def writer(build_image: Build) -> Path:
    # the distribution's archive: it calls the C library, and that is ours
    return build_image(WRITER, "-lsqlite3", "-lm", name="writer")


def read_state(machine: "subprocess.Popen[bytes]") -> dict[str, int]:
    """Path -> the highest row that is there. Each database has said that it is whole."""
    assert machine.stdout is not None
    state: dict[str, int] = {}
    for raw in iter(machine.stdout.readline, b"ready\n"):
        mode, integrity, count, highest, right, path = raw.decode().split()
        assert mode == ("wal" if "wal" in path else "delete")
        assert integrity == "ok"
        assert count == highest == right
        state[path] = int(highest)
    return state


def test_sqlite_keeps_what_it_committed(writer: Path, tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    disk = f"{tmp_path}/data.img:/disk,create=64M"
    acknowledged: dict[str, int] = {}
    last = 0
    for count, pause in [*killing.moments(1, 60), (0, 0.0)]:
        options = ["-v", f"{share}:/share", "--disk", disk, "--timeout", str(DEADLINE * FACTOR)]
        argv = run_argv(writer, ["extra", str(last)], options)
        machine = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert machine.stdout is not None
        try:
            state = read_state(machine)
            print(state, acknowledged)
            assert len(state) == 4
            for path, number in acknowledged.items():
                assert state[path] in (number, number + 1)
            lines = [machine.stdout.readline() for _ in range(count)]
            killing.pause(pause)
        finally:
            killing.kill_vmm(machine)
            lines += machine.stdout.readlines()
            assert machine.wait() == 125
        for line in lines:
            number, path = line.decode().split()
            acknowledged[path] = max(int(number), acknowledged.get(path, 0))
        # one or the other may be written again
        last = min(acknowledged.values())
