import math

import pytest

from acclimate_shared.errors import InputError
from acclimate_shared.rollout_reports import CRITERIA, BlockReport, DeviceState, Report
from acclimate_shared.waves import Stage


def block(**changes: object) -> BlockReport:
    facts: dict[str, object] = {"device": "d", "boot": 1, "seq": 1, "rollout": "r", "stage": Stage.SHADOW, "block": 3}
    return BlockReport(**{**facts, **changes})  # type: ignore[arg-type]


def report(**changes: object) -> Report:
    facts: dict[str, object] = {"device": "d", "boot": 1, "seq": 1, "rollout": "r", "attempt": 1}
    state = {"stage": Stage.SERVE, "state": DeviceState.RUNNING, "digest": "d" * 64}
    return Report(**{**facts, **state, **changes})  # type: ignore[arg-type]


def test_what_was_not_measured_is_left_out() -> None:
    assert block().values(min_labels=1, clip=0.5) == {}
    assert set(block(labels=3, gain=1.0).values(min_labels=4, clip=0.5)) == set()
    measured = block(labels=4, gain=1.0, asked=8, crashes=2, rejects=1, latency=1.3, memory=0.5)
    values = measured.checked().values(min_labels=4, clip=0.5)
    expected = {"loss": -0.25, "crash": 0.25, "reject": 0.125, "latency": math.log(1.3), "memory": math.log(0.5)}
    assert values == pytest.approx(expected)
    assert set(values) == set(CRITERIA)


def test_one_device_cannot_say_more_than_the_clip() -> None:
    assert block(labels=10, gain=-10.0).values(min_labels=1, clip=0.5)["loss"] == 0.5
    assert block(labels=10, gain=10.0).values(min_labels=1, clip=0.5)["loss"] == -0.5
    assert block(latency=1e300).values(min_labels=1, clip=0.5)["latency"] == 2.0


@pytest.mark.parametrize(
    "change",
    [
        {"block": -1},
        {"labels": -1},
        {"labels": 10**7},
        {"labels": 2, "gain": 2.5},
        {"labels": 2, "gain": math.nan},
        {"asked": -1},
        {"asked": 2, "crashes": 3},
        {"asked": 2, "rejects": -1},
        {"latency": math.inf},
        {"latency": math.nan},
        {"memory": -1.0},
        {"device": ""},
        {"rollout": "r" * 200},
        {"seq": -1},
    ],
)
def test_a_block_out_of_range_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        block(**change).checked()


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "d"},
        {"state": DeviceState.PENDING},
        {"state": DeviceState.OFFLINE},
        {"served_s": math.nan},
        {"served_s": -1.0},
        {"attempt": -1},
        {"reason": "x" * 301},
        {"boot": -1},
    ],
)
def test_a_report_out_of_range_is_refused(change: dict[str, object]) -> None:
    assert report().checked() == report()
    with pytest.raises(InputError):
        report(**change).checked()
