"""A candidate from outside: its learner runs in a process of its own until its probation ends.

Requests go to the process in the order in which things happened, through a thread that waits in the agent's stead; in
lockstep the caller waits itself. An answer that is missing is NaN, which is no evidence. A process that hangs, dies,
takes too much or talks nonsense is killed and started anew from the last state that was taken from it, a few times;
then the candidate is quarantined. The rows that it learned in between are lost to it, and to nobody else.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.frames import Frame, packed, unpacked
from acclimate_device.sandbox import Confinement, Sandbox
from acclimate_device.states import State, freeze, grow, init_state
from acclimate_shared.errors import LinkError, UsageError
from acclimate_shared.learner import LearnerPackage
from acclimate_shared.manifest import Manifest

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a candidate comes from.

    Attributes:
        name: of the candidate.
        folder: of its package.
        package: as verified when the agent started.
    """

    name: str
    folder: str
    package: LearnerPackage


class Outsider:
    """One candidate in a process of its own."""

    def __init__(
        self, origin: Origin, dims: Mapping[str, int], seed: int, confinement: Confinement, *, lockstep: bool
    ) -> None:
        """Prepare the first state; the process is started by the first request.

        Args:
            origin: of the candidate.
            dims: sizes of the named dims of its state.
            seed: of its first state.
            confinement: what the process may take.
            lockstep: every request is waited for: no result depends on time, except whether a deadline is broken.

        Raises:
            ShapeError: the sizes do not fit the package.
        """
        self.origin, self.confinement = origin, confinement
        self.saved: State = init_state(origin.package, dims, seed)  # what a new process starts from
        self.quarantined = ""  # why
        self.incidents = 0
        self.probation: int | None = None  # commits without incident that it still has to show
        self.seconds = 0.0  # of the processor, for an answer to one row; 0 while that is not known
        self.stays_out = False  # it may win, but somebody else decides when it is let in
        self.missed = 0  # requests that found no room or no process
        self._lockstep = lockstep
        self._sandbox: Sandbox | None = None
        self._closed = self._stalled = False
        self._not_before = -math.inf
        self._news: Queue[str] = Queue()
        self._jobs: Queue[Callable[[], None] | None] = Queue(confinement.waiting)
        self._thread: threading.Thread | None = None

    @property
    def manifest(self) -> Manifest:
        """Of the package."""
        return self.origin.package.manifest

    # -- requests -----------------------------------------------------------------------------------------------

    def foresee(self, step: int, x: Array, into: Array) -> None:
        """Answer rows in the shadow.

        Args:
            step: of the state that was in force when the rows came.
            x: (rows, features) float64.
            into: (rows, classes) or (rows,) float64, NaN; the answers are written there when they come.
        """
        self._do(lambda: self._answers(Frame(kind="predict", step=step, tensors=packed({"x": x})), step, into))

    def catch_up(self) -> None:
        """Give the process a moment to answer what it was asked: labels may come at once. No answer waits for this."""
        if self._thread is None or self._closed or self.quarantined:
            return
        if self._stalled and self._jobs.unfinished_tasks:
            return
        if self._sandbox is not None or time.monotonic() >= self._not_before:
            done = threading.Event()
            self._do(done.set)
            self._stalled = not done.wait(self.confinement.patience_s)

    def learn(self, step: int, x: Array, y: Array, w: Array, into: Array | None) -> None:
        """Learn rows; the state after it has the number ``step + 1``.

        Args:
            step: of the state before.
            x: (rows, features) float64.
            y: (rows,) int64 or float64.
            w: (rows,) float32.
            into: as in ``foresee``, for what it answers to each row before learning it; None if that is known.
        """
        frame = Frame(kind="learn", step=step + 1, tensors=packed({"x": x, "y": y, "w": w}))
        self._do(lambda: self._answers(frame, step, into))

    def grow(self, step: int, classes: int) -> None:
        """Make room for more classes."""

        def job() -> None:
            self._ask(Frame(kind="grow", dims={"classes": classes}), step, 0)
            self.saved = grow(self.manifest, self.saved, "classes", classes)

        if any("classes" in spec.shape for spec in self.manifest.state):
            self._do(job)

    def commit(self, step: int) -> None:
        """Take its state over, to start from if the process has to be started anew; one step of a probation."""

        def job() -> None:
            self._take(step)
            if self.probation:
                self.probation -= 1

        self._do(job)

    def settle(self, step: int) -> bool:
        """Wait until its present state is in ``saved``; return whether it is, within the deadline of one answer."""
        done = threading.Event()

        def job() -> None:
            self._take(step)
            done.set()

        self._do(job)
        return done.wait(0.0 if self._lockstep else self.confinement.deadline_s)

    def news(self) -> list[str]:
        """Return the incidents since the last call."""
        found = []
        with suppress(Empty):
            while True:
                found.append(self._news.get_nowait())
        return found

    def close(self) -> None:
        """End process and thread, at once: what waits is dropped, and a process at work is killed."""
        self._closed = True
        with suppress(Empty):
            while True:
                self._jobs.get_nowait()
        thread, sandbox = self._thread, self._sandbox
        if sandbox is not None:
            sandbox.kill()
        if thread is not None:
            self._jobs.put(None)
            thread.join()
        self._kill()

    # -- the process --------------------------------------------------------------------------------------------

    def _do(self, job: Callable[[], None]) -> None:
        if self.quarantined or self._closed:
            return
        if self._lockstep:
            self._run(job)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"acclimate-{self.origin.name}", daemon=True)
            self._thread.start()
        try:
            self._jobs.put_nowait(job)
        except Full:
            self.missed += 1

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._run(job)
            self._jobs.task_done()

    def _run(self, job: Callable[[], None]) -> None:
        """Run a job; whatever goes wrong in the process ends the process, not the agent."""
        if self.quarantined or self._closed:
            return
        if self._sandbox is None and time.monotonic() < self._not_before:
            self.missed += 1
            return
        try:
            job()
        except LinkError as exc:
            self._incident(exc.message)

    def _incident(self, reason: str) -> None:
        self._kill()
        if self._closed:
            return
        self.incidents += 1
        if self.probation is not None:
            self.probation = None
        if self.incidents > self.confinement.restarts:
            self.quarantined = f"incident {self.incidents}: {reason}"
        elif not self._lockstep:
            self._not_before = time.monotonic() + self.confinement.back_off_s * 2 ** (self.incidents - 1)
        self._news.put(reason)

    def _kill(self) -> None:
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.kill()

    def _ask(self, frame: Frame, step: int, most: int) -> Frame:
        """Ask the process, starting it with the last saved state if need be.

        Raises:
            LinkError: it gave no answer that can be used.
        """
        if self._sandbox is None:
            self._sandbox = Sandbox(self.confinement)
            folder, digest = self.origin.folder, self.origin.package.digest
            opened = Frame(kind="open", step=step, text=folder, digest=digest, tensors=packed(self.saved))
            self._sandbox.ask(opened, most=0, deadline_s=self.confinement.start_s)
        return self._sandbox.ask(frame, most=most, deadline_s=self.confinement.deadline_s)

    def _answers(self, frame: Frame, step: int, into: Array | None) -> None:
        rows = 0 if into is None else into.size
        most = 8 * max(rows, 1) + 8 * self._classes(into) * (len(into) if into is not None else 0)
        answer = self._ask(frame, step, most if into is not None else 1 << 20)
        if answer.kind == "gone" or into is None:
            return
        out = unpacked(answer.tensors).get("out")
        if out is None or out.ndim != into.ndim or len(out) != len(into) or out.shape[1:] > into.shape[1:]:
            raise LinkError("an answer has not the shape of one")
        if not np.isfinite(out).all():
            self.quarantined = "an answer was not a number"
            self._news.put(self.quarantined)
            self._kill()
            return
        if into.ndim > 1:
            into[:, out.shape[1] :] = 0.0
            into[:, : out.shape[1]] = out
        else:
            into[:] = out

    def _take(self, step: int) -> None:
        """Take the state of the process over.

        Raises:
            LinkError: it gives none, or one that is not of this learner, or not finite.
        """
        most = sum(array.nbytes for array in self.saved.values()) + (1 << 16)
        answer = self._ask(Frame(kind="export"), step, most)
        state = unpacked(answer.tensors)
        fits = state.keys() == self.saved.keys() and all(
            state[name].shape == array.shape and state[name].dtype == array.dtype for name, array in self.saved.items()
        )
        if not fits:
            raise LinkError("its state is not one of its learner")
        if not all(np.isfinite(array).all() for array in state.values()):
            raise LinkError("its state is not finite")
        self.saved, self.seconds = freeze(state), answer.seconds

    @staticmethod
    def _classes(into: Array | None) -> int:
        return 1 if into is None or into.ndim == 1 else into.shape[1]


def sizes(manifest: Manifest, width: int, features: int, classes: int, defaults: Mapping[str, int]) -> dict[str, int]:
    """Return the sizes of the named dims of an outside learner.

    Args:
        manifest: of the learner.
        width: of the whole input vector.
        features: of its first part, without the history.
        classes: that there is room for.
        defaults: of dims that are the learner's own.

    Raises:
        UsageError: the learner does not fit the inputs.
    """
    sees = manifest.x.shape[1] if len(manifest.x.shape) == 2 else None  # noqa: PLR2004 (rows, features)
    if sees is None or (isinstance(sees, int) and sees not in {width, features}):
        remedy = f"author it for {features} features, or {width} with the history (`acclimate columns`), or any number"
        raise UsageError("the outside learner takes other inputs", field="x", value=manifest.x.shape, remedy=remedy)
    given = {**defaults, "features": width, "classes": classes}
    if isinstance(sees, str):
        given[sees] = width
    given["phi"] = 1 + width + given["fourier"]
    return given
