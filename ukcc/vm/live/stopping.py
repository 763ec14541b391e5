"""How a run is asked to end: the first signal to us goes to the application, the second ends all.

As with a process, so that a server that closes its files on SIGTERM does it in a machine, too.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(SystemExit):
    """The machine is to be ended; not an Exception, so that no handler takes it for an error.

    Where nobody expects it, it ends this process, and QEMU with it.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


class StopSignals:
    """SIGINT, SIGTERM and SIGHUP to this process while a machine runs.

    forward: hands a signal to the application, and says whether there is a way to do so.
    """

    def __init__(self, forward: Callable[[int], bool]) -> None:
        self._forward = forward
        # when the machine has ended, only the copies of its output are waited for
        self.machine_has_ended = False
        self._asked = False

    @contextlib.contextmanager
    def catch(self) -> Iterator[None]:
        """The second signal becomes `Stopped` in the main thread.

        One that is ignored stays so: nohup(1), and a shell that starts a job in the background.
        """
        before = {
            signum: signal.signal(signum, self._catch)
            for signum in STOPPING
            if signal.getsignal(signum) is not signal.SIG_IGN
        }
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _catch(self, signum: int, frame: "FrameType | None") -> None:
        first, self._asked = not self._asked, True
        if first and not self.machine_has_ended and self._forward(signum):
            return
        # the machine is being ended; a further exception would leave it half-way
        for other in STOPPING:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(signum)
