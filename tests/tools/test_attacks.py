"""A small attack suite over a real stream: with admission the lies do little; without it, or with one learner, much."""

import os
from pathlib import Path

import pytest

from acclimate_device.admission import Policy
from acclimate_tools.bench.attack_runs import Attack, Stream, Subject, face, load, plot

DATA = Path(os.environ.get("ACCLIMATE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
FAST = ("softmax", "naive-bayes", "knn")
BACKDOOR = Attack(name="backdoor", backdoor=0.05, corrupt=2)
LIARS = Attack(name="flip", flip=0.2, corrupt=2)


@pytest.fixture(scope="module")
def stream() -> Stream:
    if not DATA.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"the streams are missing at {DATA}")
        pytest.skip(f"no streams at {DATA}; set ACCLIMATE_DATA")
    return load(DATA, "gas_drift", 1_600)


def test_an_attack_is_what_it_says(stream: Stream) -> None:
    found = plot(stream, BACKDOOR, 0)
    assert found.triggered[found.begin :].mean() == pytest.approx(0.05, abs=0.02)
    assert not found.triggered[: found.begin].any()
    assert set(found.source[found.triggered]) == {0, 1}
    flips = plot(stream, LIARS, 0)
    wrong = flips.labels != stream.y
    assert wrong[flips.begin :].mean() == pytest.approx(0.2, abs=0.03)
    assert (plot(stream, LIARS, 0).labels == flips.labels).all()


@pytest.mark.slow
def test_admission_stands_up_to_a_backdoor_and_a_plain_learner_does_not(stream: Stream) -> None:
    guarded = face(Subject(stream, learners=FAST, policy=Policy(), contest=True), stream, BACKDOOR)
    exposed = face(Subject(stream, learners=FAST, policy=None, contest=True), stream, BACKDOOR)
    plain = face(Subject(stream, learners=["softmax"], policy=None, contest=False), stream, BACKDOOR)
    assert guarded["triggered_as_target"] <= 0.05
    assert exposed["triggered_as_target"] > 0.5
    assert plain["triggered_as_target"] > 0.5
    assert guarded["admission"]["held"] > 30


@pytest.mark.slow
def test_liars_cost_at_most_a_point(stream: Stream) -> None:
    calm, lied_to = (
        face(Subject(stream, learners=FAST, policy=Policy(), contest=True), stream, attack)
        for attack in (Attack(name="none"), LIARS)
    )
    assert lied_to["clean_accuracy"] > calm["clean_accuracy"] - 0.01
    plain_calm, plain = (
        face(Subject(stream, learners=["softmax"], policy=None, contest=False), stream, attack)
        for attack in (Attack(name="none"), LIARS)
    )
    assert plain["clean_accuracy"] < plain_calm["clean_accuracy"] - 0.01
