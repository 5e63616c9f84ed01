"""Declared variants: members like any other, refused with a remedy where they cannot be."""

from pathlib import Path

import pytest

from acclimate_device.agent import Agent
from acclimate_device.control import contest_of
from acclimate_device.procedures import told
from acclimate_device.replay_file import Request, replay_file
from acclimate_device.rules import Rules
from acclimate_device.variants import from_toml, read_variants
from acclimate_shared.errors import StateMismatchError, UsageError
from tests import streams
from tests.device.test_agent import events, taught

QUICKER = """
[[variant]]
name = "softmax-quicker"
learner = "softmax"
hyper = { rate = 1.9 }
inputs = "features"
"""


def test_a_variant_learns_and_may_challenge(tmp_path: Path) -> None:
    (tmp_path / "v.toml").write_text(QUICKER)
    stream = streams.write_csv(tmp_path / "s.csv", streams.classification(600))
    request = Request(path=str(stream), label="label", learners=("softmax",), variants=tmp_path / "v.toml")
    found = replay_file(request)
    candidates = {c["id"]: c for c in found["candidates"]}
    assert candidates["softmax-quicker"]["learner"] == "softmax"
    alone = replay_file(Request(path=str(stream), label="label", learners=("softmax",)))
    assert "softmax-quicker" not in {c["id"] for c in alone["candidates"]}
    other = {c["id"]: c for c in alone["candidates"]}["softmax"]
    assert candidates["softmax-quicker"]["accuracy"] != other["accuracy"]  # other hyper-parameters, other answers


def test_a_state_is_tied_to_its_variants_and_opens_with_them(tmp_path: Path) -> None:
    rules = Rules(variants=from_toml(QUICKER, "classification"))
    agent = taught(Agent(task="classification", learners=["softmax"], rules=rules, state=tmp_path), events(40))
    agent.close()
    assert contest_of(tmp_path)["champion"] == "committee"
    with pytest.raises(StateMismatchError, match=r"variants|members"):
        Agent(task="classification", learners=["softmax"], state=tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[variant", "not TOML"),
        ("variant = 3", "no variants"),
        ('[[variant]]\nname = "a"\nlearner = "rls"\nspeed = 3', "speed"),
        ('[[variant]]\nname = "rls"\nlearner = "rls"', "name of its own"),
        ('[[variant]]\nname = "committee"\nlearner = "rls"', "name of its own"),
        ('[[variant]]\nname = "a"\nlearner = "forest"', "forest"),
        ('[[variant]]\nname = "a"\nlearner = "rls"\nhyper = { speed = 3 }', "forgetting"),
        ('[[variant]]\nname = "a"\nlearner = "rls"\nhyper = { forgetting = 7 }', "range"),
        ('[[variant]]\nname = "a"\nlearner = "rls"\nhyper = { forgetting = nan }', "not a number|range"),
        ('[[variant]]\nname = "a"\nlearner = "rls"\ndims = { fourier = 0 }', "4096"),
        ('[[variant]]\nname = "a"\nlearner = "rls"\nchange = true', "regression"),
        ('[[variant]]\nname = "a"\nlearner = "rls"\n' * 2, "name of its own"),
        ("".join(f'[[variant]]\nname = "a{i}"\nlearner = "rls"\n' for i in range(17)), "at most 16"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        from_toml(text, "classification")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml"):
        read_variants(tmp_path / "none.toml", "classification")
    (tmp_path / "long.toml").write_text("#" * 100_000)
    with pytest.raises(UsageError, match="too long"):
        read_variants(tmp_path / "long.toml", "classification")


def test_what_is_told_makes_the_same_variants() -> None:
    variants = from_toml(QUICKER, "classification")
    assert tuple(type(variants[0])(**value) for value in told(variants)) == variants
