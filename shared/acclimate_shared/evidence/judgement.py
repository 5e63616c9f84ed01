"""Evidence bound to what it is about, and the judgement that it amounts to.

Evidence belongs to one plan, one champion and one challenger, by digest; asked for any other it is void. A judgement
renders to canonical JSON, numbers rounded to nine decimals: two operators with the same inputs get the same bytes.

Example:
    >>> from acclimate_shared.evidence.sequence import Account
    >>> plan = Plan(metric="m", loss="brier", mde=0.02, equivalence=0.01, n_max=9, changed_by=("owner",))
    >>> evidence = Evidence.start(plan, "c" * 64, "d" * 64, Account(0.05).start())
    >>> judgement = evidence.judge(plan, "c" * 64, "d" * 64)
    >>> judgement.outcome, judgement.promotes, judgement.labels
    ('running', False, 0)
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from acclimate_shared.errors import EvidenceVoidError
from acclimate_shared.evidence._seal import Reader, corrupt, pack_counts, pack_part, sealed
from acclimate_shared.evidence.contest_test import Test
from acclimate_shared.evidence.design import Outcome
from acclimate_shared.evidence.plan import Plan
from acclimate_shared.evidence.sequence import Level

KIND = b"EVID"
DIGITS = 9
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What the evidence says at one moment.

    Attributes:
        plan: Digest of the plan; ``champion`` and ``challenger``: of the states.
        index: Of the test in the account of the model.
        alpha: Level of the test.
        outcome: See `Outcome`.
        labels: Labels seen; ``observations``: block means made of them.
        mean: Mean difference over the observations, positive: the challenger is better.
        low: Lower confidence bound of the mean, at every moment at once; ``high``: the upper one.
        log_e: Log e-values: promote, reject, not worse, not better.
        autocorrelation: Of the observations, lag 1.
        gates: Whether each gate of the plan is open; one not heard of is shut.
    """

    plan: str
    champion: str
    challenger: str
    index: int
    alpha: float
    outcome: str
    labels: int
    observations: int
    mean: float
    low: float
    high: float
    log_e: tuple[float, ...]
    autocorrelation: float
    gates: dict[str, bool]

    @property
    def promotes(self) -> bool:
        """Whether the challenger may take over: by the test, and every gate is open."""
        return self.outcome == Outcome.PROMOTE.value and all(self.gates.values())

    def render(self) -> bytes:
        """Return the canonical JSON."""
        return msgspec.json.encode(self, order="sorted")

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, 64 hex digits."""
        return hashlib.sha256(self.render()).hexdigest()


@dataclass(slots=True)
class Evidence:
    """A test bound to the plan, the champion and the challenger that it was started for, by SHA-256 in hex."""

    plan: str
    champion: str
    challenger: str
    level: Level
    test: Test

    @classmethod
    def start(cls, plan: Plan, champion: str, challenger: str, level: Level) -> "Evidence":
        """Start a test at the next level of the account.

        Raises:
            ValueError: If champion or challenger is not 64 hex digits, or they are the same.
        """
        if not (_DIGEST.match(champion) and _DIGEST.match(challenger)) or champion == challenger:
            raise ValueError("champion and challenger must be two digests of 64 hex digits")
        return cls(plan.digest, champion, challenger, level, Test.new(plan.design(level.alpha)))

    def restarted(self, level: Level) -> "Evidence":
        """Return new evidence for the same contest with blocks twice as long, at the next level of the account.

        Raises:
            ValueError: If the blocks would be longer than n_max.
        """
        return Evidence(self.plan, self.champion, self.challenger, level, self.test.restarted(level.alpha))

    def check(self, plan: Plan, champion: str, challenger: str) -> None:
        """Check that the evidence is about these.

        Raises:
            EvidenceVoidError: Naming the first that it is not about.
        """
        now = {"plan": plan.digest, "champion": champion, "challenger": challenger}
        for field, digest in now.items():
            if getattr(self, field) != digest:
                remedy = "start a new test; it takes the next level of the account"
                raise EvidenceVoidError(f"evidence is about another {field}", field=field, value=digest, remedy=remedy)

    def judge(self, plan: Plan, champion: str, challenger: str, gates: Mapping[str, bool] | None = None) -> Judgement:
        """Return what the evidence says now.

        Args:
            plan: The plan in force.
            champion: Digest of the serving state.
            challenger: Digest of the state under test.
            gates: Whether each gate of the plan is open, by name.

        Raises:
            EvidenceVoidError: If the evidence is about others.
        """
        self.check(plan, champion, challenger)
        blocks = self.test.blocks
        low, high = self.test.interval()
        return Judgement(
            plan=self.plan,
            champion=champion,
            challenger=challenger,
            index=self.level.index,
            alpha=self.level.alpha,
            outcome=self.test.outcome.value,
            labels=self.test.n,
            observations=blocks.n,
            mean=_rounded(blocks.total / blocks.n if blocks.n else 0.0),
            low=_rounded(low),
            high=_rounded(high),
            log_e=tuple(map(_rounded, self.test.log_e)),
            autocorrelation=_rounded(blocks.autocorrelation),
            gates={gate.name: bool((gates or {}).get(gate.name, False)) for gate in plan.gates},
        )

    def to_bytes(self) -> bytes:
        """Return the evidence, exactly."""
        digests = b"".join(bytes.fromhex(digest) for digest in (self.plan, self.champion, self.challenger))
        return sealed(KIND, digests + pack_counts(self.level.index) + pack_part(self.test.to_bytes()))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Evidence":
        """Read what `to_bytes` wrote.

        Raises:
            CorruptStateError: If the bytes are damaged.
            StateMismatchError: If they hold another kind of state.
        """
        reader = Reader(data, KIND)
        plan, champion, challenger = (reader.raw(32).hex() for _ in range(3))
        (index,) = reader.counts(1)
        test = Test.from_bytes(reader.part())
        reader.end()
        if index == 0:
            raise corrupt("no such test", field="index", value=index)
        return cls(plan, champion, challenger, Level(index, test.design.alpha), test)


def _rounded(value: float) -> float:
    """Return the value to nine decimals, without a negative zero."""
    return round(value, DIGITS) + 0.0
