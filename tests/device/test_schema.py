"""Columns and encoding: decided once, pure to read, bounded."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.schema import MAX_SLOTS, Column, Encoder, infer_columns, parse_number
from acclimate_shared.errors import InputError


def test_kinds_are_decided_from_the_sample() -> None:
    rows = [[str(i), "ab"[i % 2], f"2024-01-01 00:{i:02d}", "1" if i % 3 else "", str(i % 5)] for i in range(60)]
    columns, dropped = infer_columns(["n", "c", "time", "gaps", "level"], rows, levels_too=True)
    by_name = {column.name: column for column in columns}
    assert dropped == ["time"]
    assert by_name["n"] == Column(name="n", kind="number")
    assert by_name["c"].kind == "category"
    assert by_name["gaps"].flag_missing
    assert by_name["level"].slots >= 5
    assert infer_columns(["level"], [[row[4]] for row in rows])[0][0].slots == 0


def test_a_few_bad_values_do_not_turn_numbers_into_text() -> None:
    columns, _ = infer_columns(["x"], [["1"]] * 60 + [["broken"]] * 3)
    assert columns[0].kind == "number"


@pytest.mark.parametrize("text", ["", "NA", "nan", "?", None, " null "])
def test_missing_is_nan(text: object) -> None:
    assert math.isnan(parse_number(text, field="x"))


@pytest.mark.parametrize("value", ["abc", "inf", "-inf", "1e31", "1,5", [], float("inf")])
def test_what_is_no_usable_number_is_refused(value: object) -> None:
    with pytest.raises(InputError) as caught:
        parse_number(value, field="speed", row=7)
    assert caught.value.row == 7
    assert "speed" in str(caught.value)
    assert caught.value.remedy


def test_categories_get_slots_when_learned_and_share_them_when_full() -> None:
    encoder = Encoder([Column(name="c", kind="category", slots=4)])
    assert not encoder.encode(encoder.parse({"c": "a"})).any()
    for text in "abc":
        encoder.learn(encoder.parse({"c": text}))
    assert [int(encoder.encode(encoder.parse({"c": text})).argmax()) for text in "abc"] == [0, 1, 2]
    encoder.learn(encoder.parse({"c": "d"}))  # the list is full: hashed, and no state grows
    late = encoder.encode(encoder.parse({"c": "d"}))
    assert late.sum() == 1.0
    fresh = Encoder(encoder.columns)
    fresh.restore(encoder.document())
    np.testing.assert_array_equal(fresh.encode(fresh.parse({"c": "d"})), late)


@given(st.lists(st.text(max_size=5), max_size=200))
def test_any_text_is_bounded_and_of_one_width(texts: list[str]) -> None:
    encoder = Encoder([Column(name="c", kind="category", slots=MAX_SLOTS)])
    for text in texts:
        parsed = encoder.parse({"c": text})
        vector = encoder.encode(parsed)
        assert vector.shape == (encoder.width,)
        assert vector.sum() in {0.0, 1.0}
        encoder.learn(parsed)
    assert len(encoder.document()[0]) < MAX_SLOTS
