"""Laws that every detector keeps; a new one in ``DETECTORS`` is tested without further ado."""

import math
from typing import Any

import numpy as np
import pytest

from acclimate_device.drift import DETECTORS, Adwin, Dummy, FeatureDrift, PageHinkley
from acclimate_shared.errors import CorruptStateError, InputError, ShapeError
from tests.device.drift.nulls import alarms

KINDS: dict[str, tuple[type[Any], int]] = {
    "adwin": (Adwin, 12_000),
    "dummy": (Dummy, 100),
    "features": (FeatureDrift, 12_000),
    "page-hinkley": (PageHinkley, 400),
}  # class and most bytes, for one feature
SHIFT = 6000


def values(seed: int = 0, rows: int = 12_000) -> list[float]:
    """Return a stream whose mean rises by two standard deviations in the middle."""
    rng = np.random.default_rng(seed)
    out: list[float] = (rng.standard_normal(rows) + 2.0 * (np.arange(rows) >= SHIFT)).tolist()
    return out


def test_every_detector_is_tested() -> None:
    assert set(KINDS) == set(DETECTORS)
    assert list(DETECTORS) == sorted(DETECTORS)


@pytest.mark.parametrize("name", KINDS)
def test_it_finds_a_large_shift_and_nothing_before(name: str) -> None:
    found = alarms(DETECTORS[name](), values())
    if name == "dummy":
        assert found == [9999]
    else:
        assert SHIFT <= found[0] < SHIFT + 1000


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("at", [0, 1, 99, 2047, 6010, 6100])
def test_what_is_resumed_goes_on_bit_for_bit(name: str, at: int) -> None:
    whole = DETECTORS[name]()
    stream = values()
    alarms(whole, stream[:at])
    resumed = KINDS[name][0].from_bytes(whole.to_bytes())
    assert resumed.to_bytes() == whole.to_bytes()
    assert alarms(whole, stream[at:]) == alarms(resumed, stream[at:])
    assert resumed.to_bytes() == whole.to_bytes()
    assert repr(resumed.detail()) == repr(whole.detail())


@pytest.mark.parametrize("name", KINDS)
def test_the_same_values_give_the_same_bytes(name: str) -> None:
    first, second = DETECTORS[name](), DETECTORS[name]()
    assert alarms(first, values()) == alarms(second, values())
    assert first.to_bytes() == second.to_bytes()


@pytest.mark.parametrize("name", KINDS)
def test_reset_leaves_the_options_and_nothing_else(name: str) -> None:
    detector = DETECTORS[name]()
    alarms(detector, values()[: SHIFT + 500])
    detector.reset()
    assert detector.to_bytes() == DETECTORS[name]().to_bytes()
    assert not detector.drift_detected


@pytest.mark.parametrize("name", KINDS)
def test_memory_is_bounded(name: str) -> None:
    detector = DETECTORS[name]()
    most = 0
    rng = np.random.default_rng(1)
    for _ in range(20):
        alarms(detector, rng.random(1000).tolist())
        most = max(most, len(detector.to_bytes()))
    assert most <= KINDS[name][1]


@pytest.mark.parametrize("name", KINDS)
def test_damaged_bytes_are_refused(name: str) -> None:
    kind = KINDS[name][0]
    other = Dummy if kind is not Dummy else Adwin
    for data in (b"", b"\xc1", b"\x80", b"\x90", kind().to_bytes()[:-1], other().to_bytes()):
        with pytest.raises(CorruptStateError):
            kind.from_bytes(data)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [Adwin, PageHinkley])
def test_a_value_that_is_not_finite_is_refused_and_changes_nothing(kind: type[Adwin], value: float) -> None:
    detector = kind()
    detector.update(1.0)
    before = detector.to_bytes()
    with pytest.raises(InputError):
        detector.update(value)
    assert detector.to_bytes() == before


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Adwin, {"delta": 0.0}),
        (Adwin, {"clock": 0}),
        (Adwin, {"grace_period": -1}),
        (PageHinkley, {"alpha": 1.5}),
        (PageHinkley, {"threshold": 0.0}),
        (PageHinkley, {"min_instances": 0}),
        (PageHinkley, {"delta": -1.0}),
        (Dummy, {"every": 0}),
        (FeatureDrift, {"bins": 1}),
        (FeatureDrift, {"rate": 0.5}),
        (FeatureDrift, {"least": -1.0}),
        (FeatureDrift, {"edges": [[1.0, 0.0]]}),
    ],
)
def test_options_out_of_range_are_the_bug_of_the_caller(kind: type[Adwin], options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        kind(**options)  # type: ignore[arg-type]


def test_details_name_the_direction() -> None:
    for name in ("adwin", "page-hinkley"):
        for sign in (1.0, -1.0):
            detector = DETECTORS[name]()
            for value in values():
                detector.update(sign * value)
                if detector.drift_detected:
                    break
            assert detector.detail()["change"] * sign > 0


def test_page_hinkley_standardised_does_not_depend_on_the_scale() -> None:
    stream = values()
    found = alarms(DETECTORS["page-hinkley"](), stream)
    assert found == alarms(DETECTORS["page-hinkley"](), [1024.0 * value for value in stream])


def test_a_row_of_another_width_is_refused() -> None:
    detector = FeatureDrift()
    detector.update([1.0, 2.0])
    before = detector.to_bytes()
    with pytest.raises(ShapeError):
        detector.update([1.0])
    with pytest.raises(InputError):
        detector.update([1.0, math.inf])
    assert detector.to_bytes() == before
