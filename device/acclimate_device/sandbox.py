"""A process of its own for what is not trusted: started, asked with a deadline, killed.

Whatever goes wrong in it (a hang, a crash, too much memory, nonsense on the line) is one error here, and the process is
gone. The agent's environment is not passed on.
"""

import os
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from acclimate_device.frames import OVERHEAD, Frame, receive, send
from acclimate_shared.errors import LinkError

WORKER = (sys.executable, "-m", "acclimate_device.outside_worker")
_PASSED_ON = ("PATH", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")
_ENDS_S = 5.0  # seconds that the end of a killed process is waited for


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What a process may take.

    Attributes:
        memory_bytes: private memory.
        start_s: seconds to load its package.
        deadline_s: seconds for one answer or one step.
        patience_s: seconds that learning waits for answers to events whose labels are here; once, then not again before
            the process has caught up.
        restarts: times that it is started anew; then its candidate is quarantined.
        back_off_s: seconds before the first restart; each further one waits twice as long.
        waiting: requests that may wait for it; more are dropped.
        command: program to start; it is given the descriptor of its socket and ``memory_bytes``.
    """

    memory_bytes: int = 512 << 20
    start_s: float = 30.0
    deadline_s: float = 2.0
    patience_s: float = 0.02
    restarts: int = 3
    back_off_s: float = 1.0
    waiting: int = 256
    command: Sequence[str] = WORKER


class Sandbox:
    """One process and the line to it; every method is called by one thread at a time."""

    def __init__(self, confinement: Confinement, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the process.

        Raises:
            LinkError: the system refuses.
        """
        self._clock = clock
        self._link, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment |= {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        environment |= {"ORT_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        arguments = [*confinement.command, str(theirs.fileno()), str(confinement.memory_bytes)]
        try:
            self._process = subprocess.Popen(  # noqa: S603 (our own program)
                arguments, pass_fds=[theirs.fileno()], env=environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as exc:
            self._link.close()
            raise LinkError(f"a process could not be started: {exc}") from exc
        finally:
            theirs.close()
        self._end = weakref.finalize(self, _ended, self._process, self._link)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def ask(self, frame: Frame, *, most: int, deadline_s: float) -> Frame:
        """Send a frame and return its answer.

        Args:
            frame: to be answered.
            most: bytes of tensors that the answer may hold.
            deadline_s: seconds for both.

        Raises:
            LinkError: no answer, none in time, or not one; the process must be killed then.
        """
        until = self._clock() + deadline_s
        self._link.settimeout(deadline_s)
        send(self._link, frame)
        answer = receive(self._link, most + OVERHEAD, lambda: until - self._clock())
        if answer is None:
            raise LinkError(f"the process ended by itself: {self._how()}")
        if answer.kind == "error":
            raise LinkError(answer.text[:200])
        return answer

    def _how(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(_ENDS_S)
            return f"signal {-code}" if code < 0 else f"code {code}"
        return "it goes on without a line"

    def kill(self) -> None:
        """End the process, at once."""
        self._end()


def _ended(process: subprocess.Popen[bytes], link: socket.socket) -> None:
    process.kill()  # first: whoever waits on the line then sees its end
    with suppress(subprocess.TimeoutExpired):
        process.wait(_ENDS_S)
    link.close()
