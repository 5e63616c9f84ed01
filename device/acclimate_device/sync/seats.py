"""What an agent does with the base of a rollout: fetched over the link, tried, put into a slot, seated, taken out."""

import logging
import threading
from collections.abc import Callable
from statistics import median
from time import thread_time

import numpy as np

from acclimate_device.agent import Agent
from acclimate_device.arena import Arena
from acclimate_device.contest import QUARANTINED
from acclimate_device.inputs import Inputs
from acclimate_device.learning import tend
from acclimate_device.losses import bounded
from acclimate_device.outside import names_of_base
from acclimate_device.slots import Bases
from acclimate_device.sync.follow import Sums
from acclimate_device.sync.trial import run_trial
from acclimate_device.sync.update import Received
from acclimate_shared.errors import PackageError
from acclimate_shared.waves import NO_BASE

logger = logging.getLogger(__name__)

LEAST_S = 1e-6  # of an answer; clocks are coarser on some machines
TIMED_ANSWERS = 15  # of which the median is compared


class AgentSeats:
    """See ``follow.Seats``; used by one thread."""

    def __init__(self, agent: Agent, bases: Bases, fetch: Callable[[str], Received]) -> None:
        """Serve an agent.

        Args:
            agent: that runs.
            bases: slots of its state.
            fetch: brings a verified bundle here by its digest.
        """
        self._agent, self._bases, self._fetch = agent, bases, fetch
        self._lock = threading.Lock()
        self._digest, self._seen, self._sums, self._first = "", 0, Sums(), 0
        self._lead = 0.0  # losses of the plain base less those of the same with local learning

    def install(self, digest: str) -> None:
        """See ``follow.Seats``.

        Raises:
            LinkError: it did not come in time.
            RefusedError: it is not taken; the subclass says why.
        """
        found = self._fetch(digest)
        trial = run_trial(found.path, digest)
        if not trial.passed:
            raise PackageError("the bundle fails its sanity set here", field="sanity", value=trial.reason)
        release = found.listed.release
        package = found.bundle.package
        self._bases.install(
            digest, package, model=release.model, version=release.version, needs=release.constraints, again=True
        )
        tend(self._agent, self._bases)

    def fault(self, digest: str) -> str:
        """See ``follow.Seats``."""
        slot = self._bases.read().of(digest)
        if slot is None:
            return "not-in-a-slot"
        return "failed-on-trial" if slot.state == "failed" else ""

    def seat(self, digest: str, why: str) -> bool:
        """See ``follow.Seats``; of two candidates of a base the one that has been better so far."""
        done: list[bool] = []
        name, before = self._agent.look(lambda arena, _: (self._leader(arena, digest), _serving(arena))) or ("", "")
        if name and before not in names_of_base(digest):
            self._bases.replaces(digest, before)
        if name:
            self._agent.amend(lambda arena: done.append(arena.seat(name, "hub", why)))
        return done == [True]

    def serves(self, digest: str) -> bool:
        """See ``follow.Seats``."""
        return self.answering() == digest

    def unseat(self, digest: str, why: str) -> None:
        """See ``follow.Seats``; whoever served before goes on with what it has learned meanwhile."""
        if self.serves(digest):
            self._agent.amend(lambda arena: arena.override(arena.names[self._rival(arena, digest)], "hub", why))
        self._bases.fail(digest, why)
        tend(self._agent, self._bases)

    def answering(self) -> str:
        """See ``follow.Seats``."""
        champion = self._agent.look(lambda arena, _: _serving(arena))
        slots = self._bases.read()
        digests = [slot.digest for slot in (slots.current, slots.other) if slot]
        return next((digest for digest in digests if champion in names_of_base(digest)), NO_BASE)

    def sums(self, digest: str) -> Sums | None:
        """See ``follow.Seats``: losses are those of the rows that both have answered since the last look."""
        asked = self._agent.asked
        return self._agent.look(lambda arena, inputs: self._looked(arena, inputs, digest, asked))

    def _looked(self, arena: Arena, inputs: Inputs, digest: str, asked: int) -> Sums | None:
        leader = self._leader(arena, digest)
        if not leader:
            return None
        present, contest = _present(arena, digest), arena.contest
        serves = contest.champion < len(arena.names) and arena.names[contest.champion] in present
        outsiders = [arena.roster.outside.named(name) for name in present]
        for outsider in outsiders:
            outsider.stays_out = not serves  # the rollout decides when the base serves, whatever it wins here
        column = contest.champion if serves else arena.names.index(leader)
        if self._digest != digest:
            self._digest, self._seen, self._sums, self._first, self._lead = digest, contest.labels, Sums(), asked, 0.0
        other = self._rival(arena, digest) if serves else contest.champion
        fresh, self._seen = contest.latest(contest.labels - self._seen), contest.labels
        pair = _paired(fresh, other, column, arena)
        if len(present) > 1:  # who leads from now on; for the rows above it was chosen before they came
            plain, rebased = (arena.names.index(name) for name in present)
            self._lead += float(np.subtract(*_paired(fresh, plain, rebased, arena).T).sum())
        latency, memory = _ratios(arena, inputs, column, other)
        self._sums = Sums(
            labels=self._sums.labels + len(pair),
            gain=self._sums.gain + float((pair[:, 0] - pair[:, 1]).sum()),
            asked=asked - self._first,
            crashes=sum(outsider.incidents for outsider in outsiders),
            latency=latency,
            memory=memory,
        )
        return self._sums

    def _rival(self, arena: Arena, digest: str) -> int:
        """Return the column of who served before a base; the committee if that one is not here any more."""
        slot = self._bases.read().of(digest)
        column = arena.names.index(slot.before) if slot and slot.before in arena.names else arena.committee_column
        return arena.committee_column if arena.roster.remote(column) else column

    def _leader(self, arena: Arena, digest: str) -> str:
        """Return the candidate of a base that has been better here so far; "" if the base takes part no longer."""
        present = _present(arena, digest)
        return present[-1 if self._lead > 0 and self._digest == digest else 0] if present else ""


def _serving(arena: Arena) -> str:
    """Return the candidate that answers; "" while the anchor does, which is none."""
    return "" if arena.fallen else arena.names[arena.roster.serving]


def _present(arena: Arena, digest: str) -> list[str]:
    """Return the candidates of a base, the plain one first; none if that one takes part no longer."""
    plain, rebased = names_of_base(digest)
    here = [
        name
        for name in (plain, rebased)
        if name in arena.names and arena.contest.status.get(arena.names.index(name)) != QUARANTINED
    ]
    return here if plain in here else []


def _paired(losses: np.ndarray, one: int, other: int, arena: Arena) -> np.ndarray:
    """Return the bounded losses of two columns, (rows, 2), of the rows that both have answered."""
    pair = losses[:, [one, other]]
    return bounded(pair[~np.isnan(pair).any(1)], arena.cap)


def _ratios(arena: Arena, inputs: Inputs, column: int, other: int) -> tuple[float, float]:
    """Return seconds of the processor an answer, and bytes, of a base over those of another candidate; 0: not known."""
    roster, x = arena.roster, np.zeros((1, inputs.layout().width))
    if other >= len(roster.live):
        other = arena.committee_column
    if roster.remote(column):
        outsider = roster.outside.named(roster.live[column])
        held = sum(array.nbytes for array in outsider.saved.values())
        usual = median(_seconds(arena, other, x) for _ in range(TIMED_ANSWERS))
        return outsider.seconds / usual, held / _held(arena, other)
    times = [[_seconds(arena, at, x) for at in (column, other)] for _ in range(TIMED_ANSWERS)]
    base, usual = (median(pair[at] for pair in times) for at in (0, 1))
    return base / usual, _held(arena, column) / _held(arena, other)


def _held(arena: Arena, column: int) -> int:
    return max(1, sum(array.nbytes for array in arena.roster.burden(column)[0]))


def _seconds(arena: Arena, column: int, x: np.ndarray) -> float:
    begun = thread_time()
    arena.roster.ask_column(column, x)
    return max(thread_time() - begun, LEAST_S)
