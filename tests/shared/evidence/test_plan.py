from typing import Any

import msgspec
import pytest

from acclimate_shared.errors import PlanError
from acclimate_shared.evidence import LOSSES, BlockRule, Gate, Plan

TOML = """
metric = "wrong answers"
loss = "zero_one"
alpha = 0.05
superiority = 0.0
bad = 0.01
equivalence = 0.01
mde = 0.02
n_max = 20000
slices = ["night", "day"]
changed_by = ["owner"]

[[gates]]
name = "no worse at night"
slice = "night"
worse_by = 0.03
min_labels = 200

[block]
rule = "backtest"
length = 20
variance = 0.01
"""
PLAN = Plan.from_toml(TOML)


def changed(**changes: Any) -> bytes:
    raw: dict[str, Any] = msgspec.json.decode(PLAN.canonical())
    for name, value in changes.items():
        raw.pop(name) if value is ... else raw.update({name: value})
    return msgspec.json.encode(raw)


def test_toml_and_json_are_one_plan_with_one_digest() -> None:
    again = Plan.from_json(PLAN.canonical())
    assert (again, again.digest, again.canonical()) == (PLAN, PLAN.digest, PLAN.canonical())
    raw = msgspec.json.decode(PLAN.canonical())
    assert Plan.from_json(msgspec.json.encode(dict(reversed(raw.items())))).digest == PLAN.digest
    assert list(raw) == sorted(raw)
    design = PLAN.design(0.01)
    assert (design.alpha, design.effect, design.block, design.n_max) == (0.01, 0.02, 20, 20_000)


@pytest.mark.parametrize(
    "change",
    [
        {"mde": 0.021},
        {"metric": "errors"},
        {"slices": ["day", "night"]},
        {"changed_by": ["owner", "deputy"]},
        {"block": {"rule": "fixed", "length": 20, "variance": 0.01}},
        {"gates": []},
    ],
)
def test_every_change_changes_the_digest(change: dict[str, Any]) -> None:
    assert Plan.from_json(changed(**change)).digest != PLAN.digest


@pytest.mark.parametrize(
    ("change", "field", "remedy"),
    [
        ({"alpha": 0.0}, "alpha = 0.0", "(0, 1)"),
        ({"alpha": "5 %"}, "alpha = '5 %'", "type float"),
        ({"format": 2}, "format = 2", "newer Acclimate"),
        ({"loss": "accuracy"}, "loss = 'accuracy'", ", ".join(LOSSES)),
        ({"loss": "absolute", "block": {"rule": "fixed"}}, "cap", "give a cap"),
        ({"cap": 1.0}, "cap = 1.0", "no other"),
        ({"loss": "absolute", "cap": -1.0}, "cap = -1.0", "> 0"),
        ({"superiority": -0.1}, "superiority = -0.1", "[0, 1)"),
        ({"bad": 1.5}, "bad = 1.5", "[0, 1)"),
        ({"mde": 0.0}, "mde = 0.0", "above superiority"),
        ({"equivalence": 0.03}, "equivalence = 0.03", "at most mde"),
        ({"n_max": 0}, "n_max = 0", "whole number"),
        ({"n_max": 1.5}, "n_max = 1.5", "type int"),
        ({"block": {"length": 0}}, "block.length = 0", "> 0"),
        ({"block": {"rule": "guess"}}, "block.rule = 'guess'", "fields that the plan has"),
        ({"block": {"variance": 2.0}}, "block.variance = 2.0", "0 if not known"),
        ({"slices": ["day", "day"]}, "slices", "once"),
        ({"gates": [{"name": "g", "slice": "noon"}]}, "gates", "slices"),
        ({"gates": [{"slice": "day"}]}, "gates[0].name", "fields that the plan has"),
        ({"changed_by": []}, "changed_by = ()", "who may change"),
        ({"metric": ""}, "metric = ''", "name"),
        ({"mde": ...}, "mde", "fields that the plan has"),
        ({"colour": "red"}, "colour = 'red'", "no others"),
    ],
)
def test_mistakes_are_named_with_field_value_and_remedy(change: dict[str, Any], field: str, remedy: str) -> None:
    with pytest.raises(PlanError) as caught:
        Plan.from_json(changed(**change))
    assert f"[{field}" in str(caught.value)
    assert remedy in str(caught.value)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("field", ["alpha", "bad", "superiority", "mde", "equivalence"])
def test_numbers_that_are_none_are_refused(field: str, number: str) -> None:
    lines = [f"{field} = {number}" if line.startswith(field) else line for line in TOML.splitlines()]
    with pytest.raises(PlanError):
        Plan.from_toml("\n".join(lines))


def test_what_is_no_file_of_a_plan_is_refused() -> None:
    with pytest.raises(PlanError, match="not TOML"):
        Plan.from_toml("alpha == 1")
    for data in (b"{", b"", b"\xff\xfe"):
        with pytest.raises(PlanError, match="not JSON"):
            Plan.from_json(data)
    with pytest.raises(PlanError, match=r"Expected `object`, got `array` \[plan\]"):
        Plan.from_json(b"[]")
    with pytest.raises(PlanError, match="too large"):
        Plan.from_json(b" " * 100_000)
    with pytest.raises(PlanError, match="alpha"):
        Plan(metric="m", loss="brier", alpha=2.0, mde=0.1, equivalence=0.1, n_max=5, changed_by=("owner",))


def test_a_gate_without_data_is_shut() -> None:
    gate = Gate(name="night", worse_by=0.03, min_labels=10)
    assert (gate.passes(0.0, 9), gate.passes(-0.03, 10), gate.passes(-0.031, 10)) == (False, True, False)
    assert not gate.passes(float("nan"), 100)
    assert BlockRule() == BlockRule(rule="fixed", length=1, variance=0.0)
