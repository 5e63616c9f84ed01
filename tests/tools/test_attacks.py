"""A small attack suite over a real stream: with admission the lies do little; without it, or with one learner, much."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score

from acclimate_device.admission import Policy
from acclimate_tools.bench.attack_runs import Attack, Spared, Stream, Subject, face, left_to_tell, load, plot
from acclimate_tools.bench.attacks import fallen, renewed, summed
from tests.recordings import recordings

FAST = ("softmax", "naive-bayes", "knn")
BACKDOOR = Attack(name="backdoor", backdoor=0.05, corrupt=2)
LIARS = Attack(name="flip", flip=0.2, corrupt=2)
CALM = Attack(name="none")
ATTACKED: list[tuple[Attack, Spared]] = [
    (CALM, "nothing"),
    (LIARS, "nothing"),
    (LIARS, "wrong labels"),
    (LIARS, "all but what is left"),
]


@pytest.fixture(scope="module")
def stream() -> Stream:
    return load(recordings(), "gas_drift", 1_600)


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


@pytest.mark.slow
def test_a_learner_that_hears_no_wrong_label_loses_little(stream: Stream) -> None:
    calm, told, spared, fewer = (
        face(Subject(stream, learners=["softmax"], policy=None, contest=False), stream, attack, spared=which)
        for attack, which in ATTACKED
    )
    assert spared["clean_accuracy"] > told["clean_accuracy"]
    assert spared["clean_accuracy"] > calm["clean_accuracy"] - 0.01
    assert fewer["clean_accuracy"] < calm["clean_accuracy"]


def test_what_labels_still_tell_is_the_mutual_information() -> None:
    assert left_to_tell(0.0, 2) == 1.0
    assert left_to_tell(0.5, 2) == pytest.approx(0.0)
    truth = np.random.default_rng(0).integers(0, 4, 200_000)
    labels = np.where(np.arange(len(truth)) % 5 == 0, (truth + 1 + np.arange(len(truth)) // 5 % 3) % 4, truth)
    found = normalized_mutual_info_score(truth, labels)
    assert left_to_tell(0.2, 4) == pytest.approx(found, abs=0.005)


def run(accuracy: float, target: float = 0.0) -> dict[str, Any]:
    return {"clean_accuracy": accuracy, "triggered_as_target": target, "admission": None}


def test_falls_are_paired_by_seed() -> None:
    falls = fallen([run(0.9), run(0.8)], [run(0.89), run(0.77)])
    assert falls == pytest.approx([1.0, 3.0])
    told = summed(LIARS, [run(0.89), run(0.77)], falls)
    assert (told["fall_points"], told["standard_error"]) == pytest.approx((2.0, 1.0))
    assert not told["reached"]


@pytest.mark.parametrize(("target", "reached"), [(0.05, True), (0.06, False)])
def test_a_backdoor_is_held_off_only_if_it_seldom_opens(target: float, reached: bool) -> None:
    assert summed(BACKDOOR, [run(0.9, target)], [0.0])["reached"] is reached
    assert summed(LIARS, [run(0.9, target)], [0.0])["reached"]


def test_what_was_measured_again_takes_the_place_of_what_was_before() -> None:
    old = [{"stream": "s", "attack": attack, "learner": "l", "fall_points": 1.0} for attack in ("a", "b")]
    new = [{**old[1], "fall_points": 2.0}, {**old[1], "attack": "c"}]
    assert [(row["attack"], row["fall_points"]) for row in renewed(old, new)] == [("a", 1.0), ("b", 2.0), ("c", 1.0)]
