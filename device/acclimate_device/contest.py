"""The contest: who challenges whom, on which evidence, and what comes of it.

Losses come in as labels arrive, one column a candidate (see ``acclimate_device.roster``). A candidate whose recent
losses promise something is put to the test against the champion; the test's design, the block length above all, comes
from losses of before it began. Every started test takes the next level of one account for the life of the model. A
promotion changes the opponent, so it voids all other tests. Beaten candidates are parked, not deleted: they go on as
they are, and may challenge again when they have become promising, at the price of another level.

Pure: rows and losses come in, transitions come out, each with its reason and numbers; nothing here knows of states.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device.cool_down import LARGE_LEAD, CoolDown
from acclimate_device.gates import SANITY, Verdict, backtest
from acclimate_device.losses import bounded
from acclimate_device.plans import with_backtest
from acclimate_device.transitions import Promotion, Transition
from acclimate_shared.errors import StateMismatchError
from acclimate_shared.evidence import Account, Evidence, Outcome, Plan
from acclimate_shared.lineage import Proof

Array = npt.NDArray[Any]

BACKTEST_ROWS = 2048  # labels that a design and a promise rest on
MIN_BACKTEST_ROWS = 512
PROMISING = 1.5  # standard errors of its lead in the backtest that make a test worth its level
MOST_TRANSITIONS = 1000  # kept in the state; the count goes on

CHAMPION, RUNNING, IDLE, QUARANTINED = "champion", "running", "idle", "quarantined"
UNCAPPED = {"absolute", "squared"}  # losses whose cap comes from the recent ones, where a plan has none
PARKED = {Outcome.REJECT: "rejected", Outcome.EQUIVALENT: "equivalent"}


class Contest:
    """The state of a contest between labels."""

    def __init__(
        self,
        plan: Plan,
        names: Sequence[str],
        *,
        champion: int,
        challengers: Sequence[int],
        at_once: int = 3,
        declared: bool = False,
    ) -> None:
        """Start without evidence.

        Args:
            plan: fixed before any challenger exists.
            names: id of each column.
            champion: column that serves.
            challengers: columns that may challenge.
            at_once: most tests that run at the same time.
            declared: a person named the challengers: they are tested whether or not their recent losses promise much.
        """
        self.plan, self.names = plan, list(names)
        self.champion, self.challengers = champion, list(challengers)
        self.at_once, self.declared = at_once, declared
        self.account = Account(plan.alpha)
        self.running: dict[int, tuple[Plan, Evidence]] = {}
        self.status = dict.fromkeys(self.challengers, IDLE) | {champion: CHAMPION}
        self.cool_down = CoolDown()
        self.held: set[int] = set()  # columns that have won, but may not serve yet
        self.labels = 0
        self.log: list[Transition] = []
        self.events = 0
        self.inspect: Callable[[int, Plan], Sequence[Verdict]] = lambda _column, _plan: ()  # gates beyond losses
        self._opened: dict[str, bool] = {}  # gates of the last winner
        self.judged: tuple[str, Proof | None, dict[str, bool]] = ("", None, {})  # of the last promotion
        self._recent = np.full((0, len(self.names)), np.nan)

    # -- labels -------------------------------------------------------------------------------------------------

    def observe(self, raw: Array) -> list[Promotion]:
        """Take the losses of labels in the order of their arrival.

        Args:
            raw: (labels, columns) float64: losses in [0, 1], or absolute errors in units of the target; NaN where a
                candidate did not answer that event.

        Returns:
            At most one promotion. The caller lets that column serve, and says so with ``promoted``.
        """
        self.labels += len(raw)
        self._recent = np.concatenate([self._recent, raw])[-BACKTEST_ROWS:]
        won: list[Promotion] = []
        for column in sorted(self.running.keys() - self.held):
            plan, evidence = self.running[column]
            losses = bounded(raw[:, [self.champion, column]], plan)
            losses = losses[~np.isnan(losses).any(1)]
            outcome = evidence.test.update_many(losses[:, 0] - losses[:, 1])
            if outcome is Outcome.PROMOTE and not won and self._gates_open(column, plan, evidence):
                won.append(Promotion(column))
            elif outcome is Outcome.RESTART:
                self._restart(column)
            elif outcome in PARKED:
                self._park(column, PARKED[outcome], "the evidence is complete")
        return won

    def _gates_open(self, column: int, plan: Plan, evidence: Evidence) -> bool:
        """Ask the gates; a candidate that wins its test is parked if one is shut, quarantined if it breaks a limit."""
        recent = bounded(self.recent(column), plan)
        mean = float((recent[:, 0] - recent[:, 1]).mean()) if len(recent) else -1.0
        said = [backtest(gate, mean, len(recent)) for gate in plan.gates if gate.name != SANITY]
        if all(verdict.passed for verdict in said):
            said += self.inspect(column, plan)
        shut = next((verdict for verdict in said if not verdict.passed), None)
        for verdict in said:
            how = "open" if verdict.passed else "shut"
            numbers = {**verdict.numbers, "log_e": evidence.test.log_e[0]}
            self._say(column, "gate", f"gate {verdict.name} is {how}", numbers)
        self._opened = {verdict.name: verdict.passed for verdict in said}
        if shut is not None and shut.limit:
            self.quarantine(column, f"it broke the limit {shut.name}")
        elif shut is not None:
            self._park(column, "rejected", f"gate {shut.name}")
        return shut is None

    def hold(self, column: int, numbers: dict[str, float]) -> None:
        """Note that a winner is on probation: its test has ended, and is void if another champion comes first."""
        self.held.add(column)
        self._say(column, "probation", "it has won, and may serve after its probation", numbers)

    def release(self, column: int) -> bool:
        """End a probation; return whether the gates are open, so that it may serve."""
        self.held.discard(column)
        return self._gates_open(column, *self.running[column])

    def incident(self, column: int, reason: str) -> None:
        """Note something that went wrong with a candidate; it loses what it has won, not its chances."""
        self._say(column, "incident", reason, {})
        if column in self.held:
            self._park(column, "rejected", "an incident while on probation")

    def promoted(self, column: int, serves: int) -> None:
        """Note that the candidate of ``column`` serves now, in the column ``serves``; other evidence is void."""
        plan, evidence = self.running.pop(column)
        test = evidence.test
        low, high = test.interval()
        numbers = {"labels": float(test.n), "log_e": test.log_e[0], "threshold": test.design.threshold}
        numbers |= {"low": low, "high": high, "index": float(evidence.level.index), "block": float(test.design.block)}
        self._say(column, "promote", f"better than {self.names[self.champion]}, by evidence", numbers)
        self.account.promoted()
        gates = {gate.name: True for gate in plan.gates} | self._opened
        told = evidence.judge(plan, evidence.champion, evidence.challenger, gates)
        proof = Proof(
            digest=told.digest,
            outcome=told.outcome,
            log_e=told.log_e[0],
            threshold=test.design.threshold,
            alpha=told.alpha,
            index=told.index,
            labels=told.labels,
            low=told.low,
            high=told.high,
        )
        self.judged = (plan.digest, proof, gates)
        self.status[column] = IDLE
        self._reign(serves)

    def crown(self, column: int, event: str, reason: str, numbers: dict[str, float]) -> None:
        """Note that ``column`` serves by a rollback or a person's word, which is no evidence for it."""
        self._say(column, event, reason, numbers)
        self._reign(column)

    def recent(self, column: int, other: int | None = None) -> Array:
        """Return the recent losses of the champion (or ``other``) and ``column``, (labels, 2), where both answered."""
        pair: Array = self._recent[:, [self.champion if other is None else other, column]]
        kept: Array = pair[~np.isnan(pair).any(1)]
        return kept

    def latest(self, count: int) -> Array:
        """Return the losses of the latest labels, (at most count, columns), NaN where a candidate did not answer."""
        return self._recent[len(self._recent) - min(count, len(self._recent)) :]

    def losses(self, column: int) -> Array:
        """Return the recent losses of a column, (labels,), where it answered."""
        own = self._recent[:, column]
        kept: Array = own[~np.isnan(own)]
        return kept

    def _reign(self, column: int) -> None:
        self.held.clear()
        for other in list(self.running):
            self._say(other, "void", "another champion serves: the evidence was about the old one", {})
            del self.running[other]
            self.status[other] = IDLE
        if self.champion in self.challengers:
            self.status[self.champion] = IDLE
        self.champion = column
        self.status[column] = CHAMPION
        self.cool_down.hope()

    def forget(self, column: int) -> None:
        """Drop the recent losses of a column: somebody else answers there now."""
        self._recent[:, column] = np.nan

    def succeed(self, column: int, to: int, retired: int) -> None:
        """Move the recent losses along: who answered in ``column`` answers in ``to``, who did that in ``retired``."""
        moved = self._recent[:, [column, to]]
        self.forget(column)
        self._recent[:, [to, retired]] = moved

    def carry(self, column: int, to: int) -> None:
        """Move the recent losses of a column along with whoever answers there."""
        self._recent[:, to] = self._recent[:, column]
        self.forget(column)

    # -- tests --------------------------------------------------------------------------------------------------

    def candidates(self) -> list[int]:
        """Return the columns to be put to the test now, the most promising first, as many as there is room for."""
        room = self.at_once - len(self.running)
        if room <= 0 or len(self._recent) < MIN_BACKTEST_ROWS:
            return []
        rested = [column for column in self.challengers if self._may_start(column)]
        leads = {column: self.lead(column) for column in rested if self._leads(column)}
        good = [column for column, (mean, z) in leads.items() if self.declared or self._promises(mean, z)]
        good.sort(key=lambda column: -leads[column][0] if self._promises(*leads[column]) else 1.0)
        usual = self.cool_down.room(room, len(self.running), self.labels)
        return [c for at, c in enumerate(good) if at < usual or leads[c][1] >= LARGE_LEAD][:room]

    def _may_start(self, column: int) -> bool:
        if self.status.get(column) in {CHAMPION, RUNNING, QUARANTINED} or column == self.champion:
            return False
        return self.cool_down.rested(column, self.labels)

    def _leads(self, column: int) -> bool:
        """Return whether a column is worth a closer look; cheaper than ``lead``, which else would promise nothing."""
        if self.declared or (self.plan.cap is None and self.plan.loss in UNCAPPED):
            return True
        losses = bounded(self.recent(column), self.plan)
        return len(losses) > 0 and float((losses[:, 0] - losses[:, 1]).mean()) >= self.plan.mde / 2

    def _promises(self, mean: float, z: float) -> bool:
        """Return whether a lead is worth a level of the account: it matters, and is not likely to be chance."""
        return z >= PROMISING and mean >= self.plan.mde / 2

    def lead(self, column: int, over: int | None = None) -> tuple[float, float]:
        """Return how much better a column was than the champion (or ``over``) over the recent labels.

        Returns:
            The mean in units of the loss, and in standard errors; -1 where too few labels tell.
        """
        pair = self.recent(column, over)
        if len(pair) < MIN_BACKTEST_ROWS:
            return -1.0, -1.0
        plan = with_backtest(self.plan, pair)
        losses = bounded(pair, plan)
        mean = float((losses[:, 0] - losses[:, 1]).mean())
        variance = plan.block.variance or float((losses[:, 0] - losses[:, 1]).var())
        error = math.sqrt(variance * plan.block.length / len(pair))
        return mean, mean / error if error else math.copysign(math.inf, mean) if mean else 0.0

    def start(
        self,
        column: int,
        *,
        seen: int | None = None,
        champion: str = "",
        challenger: str = "",
        plan: Plan | None = None,
    ) -> None:
        """Start a test at the next level of the account.

        Args:
            column: of the answers that are judged.
            seen: column whose recent losses the design rests on, where the judged one has none yet.
            champion: what the champion is, for the digest that the evidence is bound to; its name if empty.
            challenger: likewise.
            plan: of this test, complete; None for that of the contest with a design from the recent losses.
        """
        plan = plan or with_backtest(self.plan, self.recent(column if seen is None else seen))
        digests = [_digest(text or self.names[c]) for text, c in ((champion, self.champion), (challenger, column))]
        evidence = Evidence.start(plan, digests[0], digests[1], self.account.start())
        self.running[column] = plan, evidence
        self.status[column] = RUNNING
        numbers = {
            "alpha": evidence.level.alpha,
            "index": float(evidence.level.index),
            "block": float(plan.block.length),
        }
        numbers |= {"variance": plan.block.variance, "threshold": evidence.test.design.threshold}
        self._say(column, "start", f"test {evidence.level.index} against {self.names[self.champion]}", numbers)

    def _restart(self, column: int) -> None:
        plan, evidence = self.running[column]
        numbers = {"block": float(evidence.test.design.block), "autocorrelation": evidence.test.blocks.autocorrelation}
        try:
            fresh = evidence.restarted(self.account.start())
        except ValueError:
            self._park(column, "equivalent", "the losses hang together for too long to be judged")
            return
        self._say(column, "restart", "the blocks were too short: a new test with longer ones", numbers)
        self.running[column] = plan, fresh

    def withdraw(self, column: int, reason: str, numbers: dict[str, float]) -> None:
        """End a test without a verdict; its level is spent."""
        self.running.pop(column)
        self._say(column, "withdraw", reason, numbers)
        self.status[column] = IDLE

    def note(self, event: str, reason: str) -> None:
        """Note something that concerns all candidates alike."""
        self._say(self.champion, event, reason, {})

    def quarantine(self, column: int, reason: str) -> None:
        """Never test a candidate again."""
        self.running.pop(column, None)
        self.held.discard(column)
        if self.status.get(column) != QUARANTINED:
            self._say(column, QUARANTINED, reason, {})
            self.status[column] = QUARANTINED

    def _park(self, column: int, status: str, reason: str) -> None:
        _, evidence = self.running.pop(column)
        self.held.discard(column)
        test = evidence.test
        low, high = test.interval()
        event = "reject" if status == "rejected" else "equivalent"
        self._say(column, event, reason, {"labels": float(test.n), "low": low, "high": high})
        self.status[column] = status
        self.cool_down.fail(column, self.labels)

    def _say(self, column: int, event: str, reason: str, numbers: dict[str, float]) -> None:
        self.tell(self.names[column], event, reason, numbers)

    def tell(self, name: str, event: str, reason: str, numbers: dict[str, float]) -> None:
        """Log something about a candidate by its name; as in ``Transition``."""
        self.events += 1
        self.log.append(Transition(row=self.labels, candidate=name, event=event, reason=reason, numbers=numbers))
        del self.log[:-MOST_TRANSITIONS]

    def standing(self) -> dict[str, list[float]]:
        """Return, for each running test, log E for a promotion and what it must reach."""
        return {
            self.names[column]: [evidence.test.log_e[0], evidence.test.design.threshold]
            for column, (_, evidence) in sorted(self.running.items())
        }

    # -- state --------------------------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Array]:
        """Return the recent losses."""
        return {"recent": self._recent}

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values."""
        return {
            "plan": self.plan.canonical().decode(),
            "champion": self.champion,
            "account": self.account.to_bytes().hex(),
            "running": {
                str(column): [plan.canonical().decode(), evidence.to_bytes().hex()]
                for column, (plan, evidence) in self.running.items()
            },
            "status": {str(column): status for column, status in self.status.items()},
            "cool_down": self.cool_down.document(),
            "held": sorted(self.held),
            "labels": self.labels,
            "events": self.events,
            "log": [msgspec.to_builtins(transition) for transition in self.log],
        }

    def restore(self, tensors: Mapping[str, Array], document: Mapping[str, Any]) -> None:
        """Take back what ``tensors`` and ``document`` returned."""
        self._recent = np.array(tensors["recent"])
        self.plan = Plan.from_json(document["plan"].encode())
        self.champion = document["champion"]
        self.account = Account.from_bytes(bytes.fromhex(document["account"]))
        self.status = {int(column): status for column, status in document["status"].items()}
        self.cool_down.restore(document["cool_down"])
        self.held = set(document["held"])
        self.labels, self.events = document["labels"], document["events"]
        self.log = msgspec.convert(document["log"], list[Transition])
        self.running = {}
        for column, (plan, evidence) in document["running"].items():
            self._resume(int(column), Plan.from_json(plan.encode()), bytes.fromhex(evidence))

    def _resume(self, column: int, plan: Plan, evidence: bytes) -> None:
        """Go on with a test; one that another release wrote in another format is void, and its level is spent."""
        try:
            self.running[column] = plan, Evidence.from_bytes(evidence)
        except StateMismatchError:
            self.held.discard(column)
            self.status[column] = IDLE
            self._say(column, "void", "another release kept the evidence in another format", {})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
