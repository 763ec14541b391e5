"""The six programs of the table of kernels: what they are, when they are ready, what is wanted."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.kernels import GENERAL
from ukcc.ports.recipe import recipes_directory
from ukcc.specialise.features import SIZE, SPEED
from ukcc.vm.options import LOOPBACK

_HELLO = '#include <stdio.h>\nint main(void) { puts("hello, world"); return 0; }\n'
_PAGE = b"GET / HTTP/1.0\r\n\r\n"
_PATIENCE = 2.0  # seconds: a question that came before the server is asked again

OWN_CHOICE = ""  # of `ukcc specialise`


@dataclass(frozen=True)
class Program:
    """One row's program.

    recipe, image: of a port; or source: C, in one file. words: of `ukcc run`; arguments: behind the
    image; config: a uk.toml among the recipes. It is ready when it has said `ready` (a regular
    expression) and what listens at `port` has answered the question with what begins with `answer`.
    waits: the system call by which it first waits for work; empty for one that is counted to
    `main`. goals: of the kernels that are made for it; judged: the one of them that the targets are
    of (Row's names).
    """

    name: str
    recipe: str = ""
    image: str = ""
    source: str = ""
    words: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    config: str = ""
    ready: str = ""
    port: int = 0
    question: bytes = b""
    answer: bytes = b""
    waits: str = ""
    goals: tuple[str, ...] = (OWN_CHOICE,)
    judged: str = ""
    targets: Mapping[str, float] = field(default_factory=dict)

    @property
    def config_file(self) -> str:
        """The path of `config`."""
        return str(recipes_directory(None) / self.config) if self.config else ""

    @property
    def run_words(self) -> tuple[str, ...]:
        """Of `ukcc run`, but for the port: a network only where it is a server."""
        settings = ("--config", self.config_file) if self.config else ()
        return (*settings, *self.words, *(() if self.port else ("--net", "none")))

    def is_judged(self, kernel: str) -> bool:
        """Whether the targets are of that kernel: `judged`, or, where one is made, that one."""
        return kernel == self.judged if self.judged else kernel != GENERAL

    def answers(self, port: int) -> bool:
        """Whether it answers at that port of the host; so does one that has none."""
        if not self.question:
            return True
        try:
            with socket.create_connection((LOOPBACK, port), timeout=_PATIENCE) as client:
                client.sendall(self.question)
                return client.recv(len(self.answer)) == self.answer
        except OSError:
            return False


# In the order of the table.
PROGRAMS = (
    Program(
        "hello",
        source=_HELLO,
        ready=r"^hello, world\r?$",
        goals=(SIZE, SPEED),
        judged=SIZE,
        targets={
            "instructions": 8e6,
            "kernel_bytes": 1.6e6,
            "kernel_zstd": 560e3,
            "image_bytes": 2.6e6,
            "image_zstd": 0.9e6,
            "memory": 6,
        },
    ),
    Program(
        "Redis",
        recipe="redis",
        image="redis-server",
        ready="Ready to accept connections",
        port=6379,
        question=b"PING\r\n",
        answer=b"+PONG\r\n",
        waits="epoll_wait",
        goals=(SIZE, SPEED),
        judged=SPEED,
        targets={
            "instructions": 20e6,
            "kernel_zstd": 0.95e6,
            "image_bytes": 6e6,
            "image_zstd": 2.5e6,
            "memory": 14,
        },
    ),
    Program(
        "nginx",
        recipe="nginx",
        image="nginx",
        port=80,
        question=_PAGE,
        answer=b"HTTP/1.1 200 OK",
        waits="epoll_wait",
        targets={"memory": 16},
    ),
    Program(
        "SQLite",
        recipe="sqlite3",
        image="sqlite3",
        arguments=(
            ":memory:",
            "create table t(n); insert into t values (40), (2);"
            " select 'the sum is ' || sum(n) from t;",
        ),
        ready=r"^the sum is 42\r?$",
        targets={"memory": 9},
    ),
    Program(
        "memcached",
        recipe="memcached",
        image="memcached",
        port=11211,
        question=b"version\r\n",
        answer=b"VERSION 1.",
        waits="epoll_wait",
    ),
    Program(
        "PostgreSQL",
        recipe="postgresql",
        image="postgres",
        words=("-m", "768"),
        # its data directory is made by a step before it, in the root, which is memory
        config="postgresql/test/memory.toml",
        ready="database system is ready to accept connections",
        port=5432,
        waits="pselect6",
    ),
)
