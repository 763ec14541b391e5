"""A trimmed core, and what is said of it before any file is looked at."""

from fuzz.checking import moves_nothing

from ukcc.failures import text
from ukcc.failures.core import parse_core
from ukcc.failures.explain import brief
from ukcc.failures.kernel import entry_frame
from ukcc.terminal import shown

_MOST_PAGES = 64


def check(data: bytes) -> None:
    """The lines can be made, and can be shown."""
    core = parse_core(data)
    for line in brief(core):
        assert moves_nothing(shown(line))
    threads, left = text.shown_threads(core)
    assert len(threads) + left == len(core.threads)
    for thread in threads:
        text.thread_state(thread, "")
        text.register_lines(thread.registers)
        if thread.registers:
            core.memory.word(thread.registers["rsp"])
            entry_frame(core.memory, thread.registers["rsp"])
    core.memory.piece(core.vdso)
    for number, (address, page) in enumerate(core.memory.pages()):
        assert address % len(page) == 0
        if number == _MOST_PAGES:
            break
