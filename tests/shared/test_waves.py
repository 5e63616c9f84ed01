import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_shared.errors import InputError
from acclimate_shared.messages.down import Desired
from acclimate_shared.waves import Action, Stage, edge, in_wave, position, positions

NAMES = [f"device-{i}" for i in range(20_000)]


def document(**changes: object) -> Desired:
    facts: dict[str, object] = {
        "rollout": "r1",
        "number": 3,
        "revision": 5,
        "action": Action.GO,
        "digest": "d" * 64,
        "previous": "c" * 64,
        "salt": "salt",
        "attempt": 1,
        "shadow": 5.0,
        "serve": 1.0,
        "warmup_labels": 200,
        "probation_s": 3600.0,
        "block_s": 600.0,
    }
    return Desired(**{**facts, **changes})  # type: ignore[arg-type]


def test_positions_are_fixed_for_ever() -> None:
    """Another value here would move devices between waves of rollouts in progress."""
    assert [position("salt", name) for name in ("device-1", "device-2", "ü")] == [653880, 252201, 366213]


def test_positions_are_uniform_and_differ_between_salts() -> None:
    one, two = positions("one", NAMES), positions("two", NAMES)
    counts = np.histogram(one, 20, (0, 1_000_000))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8  # chi-square, 19 degrees, .001
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.03


@given(salt=st.text(max_size=20), device=st.text(max_size=20), low=st.floats(0, 100), high=st.floats(0, 100))
def test_waves_are_nested(salt: str, device: str, low: float, high: float) -> None:
    low, high = sorted((low, high))
    assert in_wave(salt, device, high) or not in_wave(salt, device, low)
    assert in_wave(salt, device, 100.0)
    assert not in_wave(salt, device, 0.0)


def test_all_at_once_is_one_by_one() -> None:
    assert positions("s", NAMES[:50]).tolist() == [position("s", name) for name in NAMES[:50]]


def test_a_salt_and_a_name_do_not_run_together() -> None:
    assert position("ab", "c") != position("a", "bc")


@pytest.mark.parametrize("percent", [-0.1, 100.1, float("nan")])
def test_no_such_percent(percent: float) -> None:
    with pytest.raises(InputError, match="percent"):
        edge(percent)


def test_a_member_of_both_stages_is_to_serve() -> None:
    desired = document(shadow=50.0, serve=10.0)
    asked = [desired.asks(name) for name in NAMES[:2000]]
    assert asked.count(Stage.SERVE) == pytest.approx(200, abs=50)
    assert asked.count(Stage.SHADOW) == pytest.approx(800, abs=80)


def test_what_answers_follows_membership_and_action() -> None:
    desired = document(shadow=50.0, serve=10.0)
    for name in NAMES[:200]:
        asked = desired.asks(name)
        assert desired.answering(name) == (desired.digest if asked is Stage.SERVE else desired.previous)
        assert document(shadow=50.0, serve=10.0, action=Action.RETURN).answering(name) == desired.previous
