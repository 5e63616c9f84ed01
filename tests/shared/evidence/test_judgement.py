import msgspec
import numpy as np
import pytest

from acclimate_shared.errors import CorruptStateError, EvidenceVoidError
from acclimate_shared.evidence import Account, Evidence, Gate, Judgement, Outcome, Plan

PLAN = Plan(
    metric="wrong answers",
    loss="zero_one",
    mde=0.05,
    equivalence=0.04,
    n_max=20_000,
    slices=("night", "day"),
    gates=(Gate(name="at night", slice="night"), Gate(name="by day", slice="day")),
    changed_by=("owner",),
)
CHAMPION, CHALLENGER, OTHER = "a" * 64, "b" * 64, "c" * 64


def evidence(mean: float, steps: int = 8_000) -> Evidence:
    found = Evidence.start(PLAN, CHAMPION, CHALLENGER, Account(PLAN.alpha).start())
    found.test.update_many(np.random.default_rng(0).uniform(mean - 0.3, mean + 0.3, steps))
    return found


def test_two_operators_get_the_same_bytes() -> None:
    first, second = evidence(0.1), Evidence.from_bytes(evidence(0.1).to_bytes())
    open_gates = {"by day": True, "at night": True}
    ours = first.judge(PLAN, CHAMPION, CHALLENGER, open_gates)
    theirs = second.judge(PLAN, CHAMPION, CHALLENGER, dict(reversed(open_gates.items())))
    assert ours.render() == theirs.render()
    assert (ours.digest, len(ours.digest)) == (theirs.digest, 64)
    assert msgspec.json.decode(ours.render(), type=Judgement) == ours
    assert list(msgspec.json.decode(ours.render())) == sorted(msgspec.json.decode(ours.render()))


def test_one_label_more_is_another_judgement() -> None:
    running = evidence(0.0, 50)
    before = running.judge(PLAN, CHAMPION, CHALLENGER)
    running.test.update(0.1)
    assert running.judge(PLAN, CHAMPION, CHALLENGER).digest != before.digest
    assert (before.outcome, before.labels, before.index) == ("running", 50, 1)
    assert before.low <= before.mean <= before.high


@pytest.mark.parametrize(
    ("gates", "promotes"),
    [
        ({}, False),
        ({"at night": True}, False),
        ({"at night": True, "by day": False}, False),
        ({"at night": True, "by day": True, "not in the plan": False}, True),
    ],
)
def test_a_promotion_needs_every_gate(gates: dict[str, bool], *, promotes: bool) -> None:
    found = evidence(0.1).judge(PLAN, CHAMPION, CHALLENGER, gates)
    assert found.outcome == Outcome.PROMOTE.value
    assert found.promotes is promotes


def test_open_gates_alone_do_not_promote() -> None:
    found = evidence(-0.1).judge(PLAN, CHAMPION, CHALLENGER, {"at night": True, "by day": True})
    assert (found.outcome, found.promotes) == ("reject", False)


@pytest.mark.parametrize(
    ("plan", "champion", "challenger", "field"),
    [
        (msgspec.structs.replace(PLAN, mde=0.06), CHAMPION, CHALLENGER, "plan"),
        (msgspec.structs.replace(PLAN, changed_by=("someone",)), CHAMPION, CHALLENGER, "plan"),
        (PLAN, OTHER, CHALLENGER, "champion"),
        (PLAN, CHAMPION, OTHER, "challenger"),
    ],
)
def test_evidence_about_others_is_void(plan: Plan, champion: str, challenger: str, field: str) -> None:
    with pytest.raises(EvidenceVoidError, match=f"another {field}"):
        evidence(0.1).judge(plan, champion, challenger)


def test_a_restart_keeps_the_contest_and_takes_the_next_level() -> None:
    account = Account(PLAN.alpha)
    first = Evidence.start(PLAN, CHAMPION, CHALLENGER, account.start())
    again = first.restarted(account.start())
    again.check(PLAN, CHAMPION, CHALLENGER)
    assert (again.level.index, again.test.design.block, again.test.n) == (2, 2, 0)
    assert again.test.design.alpha == again.level.alpha


def test_bytes_are_exact_and_damage_is_found() -> None:
    found = evidence(0.02, 333)
    data = found.to_bytes()
    assert (Evidence.from_bytes(data), Evidence.from_bytes(data).to_bytes()) == (found, data)
    for at in range(0, len(data), 7):
        with pytest.raises(CorruptStateError):
            Evidence.from_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


@pytest.mark.parametrize(("champion", "challenger"), [(CHAMPION, CHAMPION), ("x" * 64, CHALLENGER), (CHAMPION, "b")])
def test_it_needs_two_digests(champion: str, challenger: str) -> None:
    with pytest.raises(ValueError, match="two digests"):
        Evidence.start(PLAN, champion, challenger, Account(0.05).start())
