"""Candidates from outside: whatever their process does, no answer changes; who wins serves after its probation."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import acclimate_device
from acclimate_device.arena import Arena
from acclimate_device.committee import Committee
from acclimate_device.contest import QUARANTINED
from acclimate_device.gates import Limits
from acclimate_device.outside import Visitors
from acclimate_device.procedures import select
from acclimate_device.rules import Rules
from acclimate_device.sandbox import Confinement
from acclimate_shared.errors import PackageError, UsageError
from acclimate_shared.learner import save_package
from acclimate_shared.manifest import TensorSpec
from tests.device.test_agent import LEARNERS
from tests.device.test_arena import LAYOUT, drive
from tests.graphs import PREDICT, UPDATE, counter

STANDARD = Path(acclimate_device.__file__).parent / "learners"
FAULTY = Path(__file__).parent / "faulty_worker.py"
NAME = "outside-counter"


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a package that never wins."""
    folder = tmp_path_factory.mktemp("packages") / "counter"
    save_package(counter(), folder)
    return folder


def faulty(mode: str, after: int = 2, **options: Any) -> Confinement:
    command = (sys.executable, str(FAULTY), mode, str(after))
    return Confinement(command=command, back_off_s=0.0, memory_bytes=256 << 20, **options)


def crossed(rows: int, seed: int = 0) -> tuple[Any, Any]:
    """Return rows whose label naive Bayes cannot see, and others can."""
    x = np.random.default_rng(seed).standard_normal((rows, LAYOUT.width))
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.int64)


@pytest.fixture
def arenas() -> Iterator[Any]:
    made: list[Arena] = []

    def make(*folders: Path, **options: Any) -> Arena:
        limits = options.pop("limits", Limits())
        visitors = Visitors(folders=folders, probation=options.pop("probation", 2), **options)
        committee = Committee("classification", select("classification", ("naive-bayes",)), LAYOUT)
        made.append(Arena(committee, Rules(visitors=visitors, limits=limits, rehearse=0), 0))
        return made[-1]

    yield make
    for arena in made:
        arena.close()


def events_of(arena: Arena, name: str) -> list[str]:
    return [t.event for t in arena.contest.log if t.candidate == name and t.event != "gate"]


# -- incidents ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["hang", "crash", "memory", "nonsense", "long"])
def test_after_a_few_restarts_it_is_quarantined_with_the_reason(arenas: Any, package: Path, mode: str) -> None:
    deadline_s = 0.3 if mode == "hang" else 5.0  # the others fail by themselves, however busy the machine
    this = arenas(package, confinement=faulty(mode, 3, deadline_s=deadline_s, restarts=1))
    x, y = crossed(512)
    drive(this, x, y, commit=64)
    assert events_of(this, NAME) == ["incident", "incident", "quarantined"]
    assert this.contest.status[this.names.index(NAME)] == QUARANTINED
    assert this.roster.outside.all[0].incidents == 2
    assert this.champion == "naive-bayes"
    reason = next(t.reason for t in this.contest.log if t.event == "quarantined")
    expected = {"hang": "in time", "crash": "signal 6", "memory": "MemoryError", "nonsense": "not a frame"}
    assert expected.get(mode, "length") in reason


HANGS = UPDATE.replace(
    "loss = ReduceMean<keepdims = 0>(w)",
    """loss = ReduceMean<keepdims = 0>(w)
    trips = Constant<value = int64 {9000000000000000}>()
    true = Constant<value = bool {1}>()
    start = Constant<value = float {0.0}>()
    waste = Loop(trips, true, start) <body = turn (int64 i, bool go, float a) => (bool on, float b) {
        on = Identity(go)
        b = Cos(a)
    }>""",
).replace(
    "count__next = Add(count, scaled)",
    """nought = Mul(waste, start)
    moved = Add(scaled, nought)
    count__next = Add(count, moved)""",
)
BLOWS_UP = UPDATE.replace(
    "count__next = Add(count, scaled)",
    """huge = Constant<value = int64[1] {20000000000}>()
    much = ConstantOfShape(huge)
    most = ReduceMax<keepdims = 0>(much)
    moved = Add(scaled, most)
    count__next = Add(count, moved)""",
)
NOT_A_NUMBER = PREDICT.replace("share = Div(smoothed, sum)", "nought = Sub(sum, sum)\n    share = Div(nought, nought)")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("graphs", "reason"),
    [({"update": HANGS}, "in time"), ({"update": BLOWS_UP}, "Error"), ({"predict": NOT_A_NUMBER}, "not a number")],
)
def test_graphs_that_hang_or_take_all_memory_or_answer_nonsense(
    arenas: Any, tmp_path: Path, graphs: dict[str, str], reason: str
) -> None:
    predict = graphs.get("predict", PREDICT)
    save_package(counter(predict=predict, update=graphs.get("update", UPDATE)), tmp_path / "bad")
    this = arenas(tmp_path / "bad", confinement=Confinement(deadline_s=1.0, restarts=0, memory_bytes=1 << 30))
    x, y = crossed(256)
    drive(this, x, y, commit=64, late=1)
    assert this.contest.status[this.names.index(NAME)] == QUARANTINED
    assert reason in next(t.reason for t in this.contest.log if t.event == "quarantined")


@pytest.mark.slow
def test_incidents_in_lockstep_are_the_same_every_time(arenas: Any) -> None:
    x, y = crossed(768)
    found = []
    for _ in range(2):
        this = arenas(STANDARD / "rls-classification", confinement=faulty("exit", 30, restarts=1))
        drive(this, x, y, commit=128)
        found.append((msgspec.json.encode(this.document()), {n: a.tobytes() for n, a in this.tensors().items()}))
    assert found[0] == found[1]


@pytest.mark.slow
def test_who_is_slow_has_no_evidence_but_the_others_do(arenas: Any, package: Path) -> None:
    this = arenas(package, confinement=faulty("exit", 0, restarts=0))
    x, y = crossed(256)
    drive(this, x, y)
    recent = this.contest.tensors()["recent"]
    assert np.isnan(recent[:, this.names.index(NAME)]).all()
    assert np.isfinite(recent[:, 0]).all()


# -- the contest ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_it_answers_and_learns_as_it_would_inside(arenas: Any) -> None:
    """The same learner as a member and from outside: the same answers, with the state of the moment."""
    x, y = crossed(1_024)
    for late in (0, 3):
        this = arenas(STANDARD / "naive-bayes-classification")
        this.contest.candidates = list
        live = []
        learn = this.roster.learn

        def kept(*args: Any, **options: Any) -> Any:
            served, everyone = learn(*args, **options)  # noqa: B023 (called in this round)
            live.append(everyone)  # noqa: B023
            return served, everyone

        this.roster.learn = kept
        x[:, LAYOUT.features :] = np.nan  # the member sees no history
        drive(this, x, y, late=late)
        both = np.concatenate(live)
        np.testing.assert_allclose(both[:, 0], both[:, 1], atol=1e-7)


@pytest.mark.slow
def test_a_winner_serves_after_its_probation_and_its_state_moves_over(arenas: Any) -> None:
    x, y = crossed(4_096)
    this = arenas(STANDARD / "mlp-classification")
    name, steps = "outside-mlp", []
    for at in range(0, len(x), 512):
        drive(this, x[at : at + 512], y[at : at + 512])
        steps.append((this.champion, this.roster.outside.remote(name), "probation" in events_of(this, name)))
        if this.champion == name:
            break
        saved = this.roster.outside.all[0].saved
    held = [step for step in steps if step[2] and step[1]]
    assert len(held) >= 2  # it had won, and did not serve
    assert steps[-1] == (name, False, True)
    assert this.roster.outside.all[0]._sandbox is None
    assert {key: a.shape for key, a in this.roster.states[name].items()} == {k: a.shape for k, a in saved.items()}
    gates = this.contest.judged[2]
    assert gates == dict.fromkeys(["backtest", "finite", "size", "cost", "sanity"], True)
    assert this.procedure() == this.roster.outside.all[0].origin.package.digest
    before = this.roster.states[name]
    out, everyone = this.roster.answer(x[:16])
    np.testing.assert_array_equal(out, everyone[:, this.names.index(name)])
    drive(this, x[:512], y[:512])
    assert this.roster.states[name] is not before


@pytest.mark.slow
def test_who_had_no_answer_before_it_was_let_in_is_not_quarantined_for_it(arenas: Any) -> None:
    x, y = crossed(1_024)
    this = arenas(STANDARD / "mlp-classification")
    drive(this, x[:512], y[:512])
    name, rows = "outside-mlp", slice(512, 544)
    _, live = this.roster.answer(x[rows])
    live[:, this.names.index(name)] = np.nan  # its process was busy
    assert this.seat(name, "ann", "it is good")
    occupants = [this.roster.moment.occupants] * 32
    this.learn(x[rows], y[rows], np.ones(32, np.float32), logged=live, occupants=occupants, delay=0.0)
    assert this.champion == name
    state = this.roster.states[name]
    broken = {key: np.full_like(a, np.nan) if a.dtype.kind == "f" else a for key, a in state.items()}
    this.roster.begin({**this.roster.states, name: broken})
    drive(this, x[608:672], y[608:672])
    assert this.contest.status[this.names.index(name)] == QUARANTINED


@pytest.mark.slow
def test_an_incident_ends_a_probation(arenas: Any) -> None:
    x, y = crossed(2_048)
    this = arenas(STANDARD / "mlp-classification", probation=1_000)
    name, at = "outside-mlp", 0
    while not this.contest.held and at < len(x):
        drive(this, x[at : at + 128], y[at : at + 128], commit=128)
        at += 128
    assert this.contest.held
    os.kill(this.roster.outside.all[0]._sandbox.pid, signal.SIGKILL)
    drive(this, x[:256], y[:256], commit=128)
    assert not this.contest.held
    assert events_of(this, name)[-2:] == ["incident", "reject"]
    assert this.champion == "naive-bayes"


@pytest.mark.slow
def test_one_that_breaks_a_limit_is_quarantined_when_it_is_let_in(arenas: Any) -> None:
    x, y = crossed(4_096)
    this = arenas(STANDARD / "mlp-classification", limits=Limits(operations=200))
    drive(this, x, y)
    assert this.contest.status[this.names.index("outside-mlp")] == QUARANTINED
    assert this.champion == "naive-bayes"


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1_024, 3_072])
def test_a_saved_arena_with_visitors_goes_on_bit_for_bit(arenas: Any, rows: int) -> None:
    x, y = crossed(rows + 1_024)
    whole, second = (arenas(STANDARD / "mlp-classification") for _ in range(2))
    drive(whole, x[:rows], y[:rows], commit=128)
    assert whole.roster.outside.remote("outside-mlp") is (rows == 1_024)
    second.restore(whole.tensors(), msgspec.json.decode(msgspec.json.encode(whole.document())))
    np.testing.assert_array_equal(
        drive(whole, x[rows:], y[rows:], commit=128), drive(second, x[rows:], y[rows:], commit=128)
    )
    assert msgspec.json.encode(whole.document()) == msgspec.json.encode(second.document())


@pytest.mark.slow
def test_classes_may_appear_for_those_outside_and_inside(arenas: Any) -> None:
    x, y = crossed(512)
    this = arenas(STANDARD / "mlp-classification")
    drive(this, x, y)
    this.grow(4)
    drive(this, x, np.where(x[:, 2] > 1, 3, y))
    assert this.roster.let_in(1)
    this.grow(5)
    assert this.roster.answer(x[:4])[1].shape == (4, 2, 5)
    drive(this, x, np.where(x[:, 2] > 1, 4, y))
    assert this.roster.outside.all[0].incidents == 0


# -- who may come ---------------------------------------------------------------------------------------------------


def test_visitors_must_fit(arenas: Any, package: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="classification"):
        arenas(STANDARD / "rls-regression")
    committee = Committee("classification", select("classification", LEARNERS), LAYOUT)
    with pytest.raises(UsageError, match="continual"):
        Arena(committee, Rules(policy="superiority", visitors=Visitors(folders=(package,))), 0)
    narrow = TensorSpec(name="x", dtype="float64", shape=("rows", 2))
    save_package(
        counter(
            predict=PREDICT.replace("double[rows, features] x", "double[rows, 2] x"),
            update=UPDATE.replace("double[rows, features] x", "double[rows, 2] x"),
            x=narrow,
        ),
        tmp_path / "narrow",
    )
    with pytest.raises(UsageError, match="3 features, or 5"):
        arenas(tmp_path / "narrow")
    (tmp_path / "narrow" / "predict.onnx").write_bytes(b"spoiled")
    with pytest.raises(PackageError):
        arenas(tmp_path / "narrow")
    assert arenas(package, package).roster.outside.names == [NAME, f"{NAME}-2"]


@pytest.mark.slow
def test_a_package_that_changes_after_it_was_verified_is_not_run(arenas: Any, tmp_path: Path) -> None:
    save_package(counter(), tmp_path / "one")
    this = arenas(tmp_path / "one", confinement=Confinement(restarts=0))
    save_package(counter(about="another"), tmp_path / "one")
    x, y = crossed(64)
    drive(this, x, y, commit=64)
    assert "changed" in next(t.reason for t in this.contest.log if t.event == "quarantined")
