"""The process of an outside candidate: loads its package, answers and learns, one frame at a time.

    python -m acclimate_device.outside_worker FD BYTES

FD is a connected socket, BYTES the memory that the process may use. It limits itself before anything of the package is
read, opens no file for writing, and ends with the agent. Trusted is this program, not the graphs that it runs.
"""

import ctypes
import os
import resource
import signal
import socket
import statistics
import sys
import time
from collections.abc import Mapping

from acclimate_device.frames import MOST, Array, Frame, packed, receive, send, unpacked
from acclimate_shared.errors import AcclimateError

KEPT_STATES = 4  # states of the last steps: shadow answers are asked for with the state of their moment
ADDRESSES = 8 << 30  # bytes of address space beyond the memory: libraries and reserved pages take some
TIMED_ANSWERS = 5  # of which the median counts
NICENESS = 19  # the agent that serves goes first
_PR_SET_PDEATHSIG = 1


def confine(memory_bytes: int) -> None:
    """Bound memory, take away core files and written files, die with the agent, and stand back for it.

    Args:
        memory_bytes: private memory (RLIMIT_DATA).
    """
    limits = {
        resource.RLIMIT_DATA: memory_bytes,
        resource.RLIMIT_AS: memory_bytes + ADDRESSES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
    }
    for kind, value in limits.items():
        resource.setrlimit(kind, (value, value))
    os.nice(NICENESS)
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # does not interrupt who is at work
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Candidate:
    """A learner and its last few states."""

    def __init__(self, opened: Frame) -> None:
        """Load the package.

        Raises:
            PackageError: it is not what the agent has verified, or cannot be run.
        """
        from pathlib import Path

        from acclimate_device.executor import Learner
        from acclimate_shared.errors import DigestError
        from acclimate_shared.learner import load_package

        package = load_package(Path(opened.text))
        if package.digest != opened.digest:
            raise DigestError("the package has changed", field="digest", value=package.digest)
        self._learner = Learner(package)
        self._hyper = self._learner.hyper()
        state = unpacked(opened.tensors)
        self._learner.dims(state)
        self._states: dict[int, Mapping[str, Array]] = {opened.step: state}
        self._row: Array | None = None  # the newest that was asked for

    def handle(self, frame: Frame) -> Frame:
        """Return the answer to a frame.

        Raises:
            PackageError: the graph failed, or an array does not fit.
        """
        if frame.kind == "predict":
            step = max((number for number in self._states if number <= frame.step), default=None)
            if step is None:
                return Frame(kind="gone")
            x = unpacked(frame.tensors)["x"]
            out = self._learner.predict(self._states[step], x)
            self._row = x[-1:]
            return Frame(kind="ok", step=step, tensors=packed({"out": out}))
        newest = max(self._states)
        if frame.kind == "learn":
            given = unpacked(frame.tensors)
            state, before, _ = self._learner.update(
                self._states[newest], given["x"], given["y"], given["w"], self._hyper
            )
            self._states[frame.step] = state
            while len(self._states) > KEPT_STATES:
                del self._states[min(self._states)]
            return Frame(kind="ok", step=frame.step, tensors=packed({"out": before}))
        if frame.kind == "grow":
            for dim, size in frame.dims.items():
                self._states = {step: self._learner.grow(state, dim, size) for step, state in self._states.items()}
            return Frame(kind="ok", step=newest)
        return Frame(kind="ok", step=newest, tensors=packed(self._states[newest]), seconds=self._seconds(newest))

    def _seconds(self, step: int) -> float:
        """Return what an answer to one row costs, in seconds of the processor: this process stands back for others."""
        if self._row is None:
            return 0.0
        times = []
        for _ in range(TIMED_ANSWERS):
            begun = time.process_time()
            self._learner.predict(self._states[step], self._row)
            times.append(time.process_time() - begun)
        return statistics.median(times)


def serve(link: socket.socket) -> None:
    """Answer frames until the agent closes."""
    candidate: Candidate | None = None
    while (frame := receive(link, MOST, lambda: None)) is not None:
        try:
            if frame.kind == "open":
                candidate = Candidate(frame)
                answer = Frame(kind="ok", step=frame.step)
            elif candidate is None:
                answer = Frame(kind="error", text="nothing was opened")
            else:
                answer = candidate.handle(frame)
        except (AcclimateError, MemoryError, KeyError, ValueError) as exc:
            answer = Frame(kind="error", text=f"{type(exc).__name__}: {exc}"[:500])
        link.settimeout(None)
        send(link, answer)


def main() -> None:
    """Run as a process."""
    descriptor, memory_bytes = (int(argument) for argument in sys.argv[1:])
    confine(memory_bytes)
    with socket.socket(fileno=descriptor) as link:
        serve(link)


if __name__ == "__main__":
    main()
