"""What a simulated device has in place of an agent: a meter, a lineage and seats, with the figures of a calm life."""

import hashlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from acclimate_device.sync.follow import Sums
from acclimate_device.sync.limits import FETCH_AGAIN_S
from acclimate_device.sync.source import MetadataSource
from acclimate_device.sync.trust import verify_release
from acclimate_shared.lineage import Lineage
from acclimate_shared.lineage_record import Change
from acclimate_shared.messages.up import CandidateScore, Metrics, Resources
from acclimate_shared.release import Listed
from acclimate_shared.waves import NO_BASE
from acclimate_tools.fleet.home import SmallHome

Now = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How quickly a device lives.

    Attributes:
        labels_per_s: of each device.
        bucket_s: width of its buckets of metrics.
        commit_s: between two records of its lineage.
        turn_s: between two turns of its link when nothing arrives.
        follow_s: between two looks at the rollout.
        again_s: until a message is sent again that the hub has not acknowledged.
        answer_s: that the broker has for a word.
        fetch_again_s: until a base that did not come is asked for again.
        disorder: share of messages that are sent twice, or late and so out of order, as after a bad night.
    """

    labels_per_s: float = 2.0
    bucket_s: float = 30.0
    commit_s: float = 60.0
    turn_s: float = 2.0
    follow_s: float = 2.0
    again_s: float = 20.0
    answer_s: float = 60.0
    fetch_again_s: float = FETCH_AGAIN_S
    disorder: float = 0.0

    def slower(self, factor: float) -> "Pace":
        """Return a pace at which so many times more devices make as much work: whatever comes again comes later."""
        periods = ("bucket_s", "commit_s", "turn_s", "follow_s", "again_s")
        return replace(self, **{name: factor * getattr(self, name) for name in periods})


def _digest(*words: object) -> str:
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()


SCHEMA, GRAPH = _digest("schema"), _digest("graph")


class Growing:
    """Makes a lineage grow, and keeps it."""

    def __init__(self, home: SmallHome, device: str, pace: Pace, now: Now) -> None:
        """Go on from what is kept."""
        kept = b"".join(line for _, line in home.lineage_after(0, home.lines()))
        self._lineage = Lineage.loads(kept) if kept else Lineage()
        self._home, self._device, self._pace, self._now = home, device, pace, now
        self._last_s = now() - random.uniform(0.0, pace.commit_s)  # noqa: S311 - only spreads the load
        if not kept:
            self._append("start", ())

    def tend(self) -> None:
        """Commit if it is time."""
        if self._now() - self._last_s >= self._pace.commit_s:
            self._last_s = self._now()
            self._append("commit", (self._lineage.head,))

    def _append(self, kind: str, parents: tuple[str, ...]) -> None:
        facts = {"model": _digest(self._device, len(self._lineage)), "graph": GRAPH, "schema": SCHEMA}
        change = Change(kind=kind, parents=parents, time_s=self._now(), **facts)  # type: ignore[arg-type]
        record = self._lineage.append(change)
        self._home.append(self._lineage.line(record.version))


class CalmMeter:
    """See ``uplink.Meter``: as many predictions as time allows, nine of ten right."""

    def __init__(self, pace: Pace, now: Now) -> None:
        """Begin a window somewhere in a bucket, so that a fleet does not speak all at once."""
        self._pace, self._now = pace, now
        self._start_s = now() - random.uniform(0.0, pace.bucket_s)  # noqa: S311
        self.quiet = False

    def age_s(self) -> float:
        """See ``uplink.Meter``."""
        return self._now() - self._start_s

    def busy(self) -> bool:
        """See ``uplink.Meter``; nothing more happens once it is ``quiet``."""
        return not self.quiet

    def taken(self, outbox_bytes: int) -> Metrics | None:
        """See ``uplink.Meter``."""
        start_s, end_s = self._start_s, self._now()
        self._start_s = end_s
        labels = max(8, round(self._pace.labels_per_s * (end_s - start_s)))
        score = CandidateScore(candidate="committee", role="champion", measure="accuracy", labels=labels, mean=0.9)
        resources = Resources(predictions=labels, memory_bytes=100 << 20, outbox_bytes=outbox_bytes)
        return Metrics(start_s=start_s, end_s=end_s, schema=SCHEMA, scores=(score,), resources=resources)


def verified_here(source: MetadataSource, folder: Path, root: Path, digest: str, rtc: datetime) -> Listed:
    """Verify signed metadata as ``step.verify`` does, but in this process: a thousand more would measure themselves.

    Raises:
        AcclimateError: as there.
    """
    return verify_release(source, folder, root.read_bytes(), digest, rtc)


class SmallSeats:
    """See ``follow.Seats``: a base that came verified takes part, and is a little better than what it replaces."""

    GAIN = 0.02  # of a label, in the mean
    NOISE = 0.2  # of a label

    def __init__(self, home: SmallHome, fetch: Callable[[str], None], pace: Pace, rng: random.Random) -> None:
        """Go on from what is kept.

        Args:
            home: of the device.
            fetch: brings a released base here and verifies it; raises what ``update.receive`` does.
            pace: of its life.
            rng: of its luck.
        """
        self._home, self._fetch, self._pace, self._rng = home, fetch, pace, rng
        self._seats = home.seats()
        self._sums: dict[str, tuple[float, Sums]] = {}  # when they were last brought up to date

    def install(self, digest: str) -> None:
        """See ``follow.Seats``; in the thread of who calls."""
        self._fetch(digest)
        self._set(digest, serves=False)

    def fault(self, digest: str) -> str:
        """See ``follow.Seats``."""
        return "" if digest in self._seats else "not-there"

    def seat(self, digest: str, why: str) -> bool:
        """See ``follow.Seats``."""
        del why
        self._set(digest, serves=True)
        return True

    def serves(self, digest: str) -> bool:
        """See ``follow.Seats``."""
        return self._seats.get(digest, False)

    def unseat(self, digest: str, why: str) -> None:
        """See ``follow.Seats``."""
        del why
        self._seats.pop(digest, None)
        self._sums.pop(digest, None)
        self._home.leave_seat(digest)

    def _set(self, digest: str, *, serves: bool) -> None:
        self._home.keep_seat(digest, serves=serves)
        self._seats[digest] = serves

    def sums(self, digest: str) -> Sums | None:
        """See ``follow.Seats``."""
        if digest not in self._seats:
            return None
        now_s = time.monotonic()
        since_s, sums = self._sums.setdefault(digest, (now_s, Sums(latency=1.0, memory=1.0)))
        labels = int(self._pace.labels_per_s * (now_s - since_s))
        if labels > 0:
            gain = self.GAIN * labels + self._rng.gauss(0.0, self.NOISE) * labels**0.5
            gain = sums.gain + max(-float(labels), min(float(labels), gain))
            sums = Sums(labels=sums.labels + labels, gain=gain, asked=sums.asked + labels, latency=1.0, memory=1.0)
            self._sums[digest] = (now_s, sums)
        return sums

    def answering(self) -> str:
        """See ``follow.Seats``."""
        return next((digest for digest, serves in self._seats.items() if serves), NO_BASE)
