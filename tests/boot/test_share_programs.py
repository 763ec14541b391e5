"""Programs of a share run as what they are, whatever code their memory had before.

Under TCG they once did not: virtiofsd writes into the guest's memory behind QEMU's back, and the
emulator went on with what it had translated of the program that had been there.
"""

import random
import subprocess
from pathlib import Path

import pytest
from support.boots import Boot, Build, needs_mounts, needs_virtiofs
from support.builders import BIN, clean_environment

PROGRAMS, FUNCTIONS, ROUNDS = 6, 200, 4

RUNNER = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the program says; its memory is free for the next one then. */
static unsigned said_by(const char *path)
{
	int fds[2], status;
	char said[64] = "";
	pid_t pid;

	if (pipe(fds))
		abort();
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		execl(path, path, NULL);
		_exit(99);
	}
	close(fds[1]);
	if (read(fds[0], said, sizeof(said) - 1) < 0)
		abort();
	close(fds[0]);
	waitpid(pid, &status, 0);
	return status ? 0 : strtoul(said, NULL, 10);
}

int main(int argc, char **argv)
{
	for (int round = atoi(argv[1]); round; round--) {
		int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

		for (int i = 2; i < argc; i += 2) {
			if (said_by(argv[i]) != strtoul(argv[i + 1], NULL, 10)) {
				printf("%s is another one\n", argv[i]);
				return 1;
			}
		}
		if (fd < 0 || write(fd, "3", 1) != 1)
			return 2;
		close(fd);
	}
	puts("right");
	return 0;
}
"""


def source(seed: int) -> str:
    """A program whose code is nobody else's, of as many functions, and so at the same places."""
    chance = random.Random(seed)
    bodies = (
        " ".join(
            f"x = x * {chance.randrange(3, 999)}u + {chance.randrange(1 << 30)}u;"
            f" x ^= x >> {chance.randrange(1, 31)};"
            for _ in range(chance.randrange(4, 14))
        )
        for _ in range(FUNCTIONS)
    )
    functions = "".join(
        f"__attribute__((noinline)) unsigned f{i}(unsigned x) {{ {body} return x; }}\n"
        for i, body in enumerate(bodies)
    )
    calls = " ".join(f"x = f{i}(x);" for i in range(FUNCTIONS))
    main = f'int main(void) {{ unsigned x = {seed}; {calls} printf("%u\\n", x); return 0; }}\n'
    return f"#include <stdio.h>\n{functions}{main}"


@pytest.mark.parametrize(
    "way", ["9p", pytest.param("virtiofs", marks=[needs_virtiofs, needs_mounts])]
)
def test_each_is_itself(build_image: Build, boot: Boot, tmp_path: Path, way: str) -> None:
    words = [str(ROUNDS)]
    for seed in range(PROGRAMS):
        (tmp_path / "p.c").write_text(source(seed))
        path = tmp_path / f"p{seed}"
        argv = [BIN / "uk-gcc", "-O1", tmp_path / "p.c", "-o", path]
        subprocess.run(argv, check=True, env=clean_environment())
        words += [f"/data/p{seed}", subprocess.check_output([path], text=True).strip()]
    runner = build_image(RUNNER, name="runner")
    status, stdout, _ = boot(
        runner, *words, options=["-m", "64", "--share-by", way, "-v", f"{tmp_path}:/data"]
    )
    assert (status, stdout) == (0, b"right\n")
