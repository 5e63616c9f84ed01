import math

import msgspec
import pytest

from acclimate_hub.rollout import Criterion, RolloutPlan, Wave
from acclimate_shared.errors import PlanError
from acclimate_shared.waves import Stage

LOSS = RolloutPlan().criteria[0]


def test_the_default_plan_survives_its_canonical_form_and_keeps_its_digest() -> None:
    plan = RolloutPlan()
    again = RolloutPlan.from_json(plan.canonical())
    assert again == plan
    assert again.digest == plan.digest
    assert RolloutPlan(waves=(Wave(percent=1),)).digest == RolloutPlan(waves=(Wave(percent=1.0),)).digest
    assert RolloutPlan(group=21).digest != plan.digest


def test_the_error_of_an_abort_is_shared_out() -> None:
    plan = RolloutPlan()
    assert plan.halt_alpha * len(plan.waves) * (len(plan.criteria) + 1) == pytest.approx(plan.abort_error)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", 2),
        ("waves", ()),
        ("waves", (Wave(percent=5.0, stage=Stage.SHADOW),)),
        ("waves", (Wave(percent=1.0), Wave(percent=5.0, stage=Stage.SHADOW))),
        ("waves", (Wave(percent=10.0), Wave(percent=10.0))),
        ("waves", (Wave(percent=10.0, cohort="a"), Wave(percent=5.0, cohort="a"))),
        ("waves", (Wave(percent=101.0),)),
        ("waves", (Wave(percent=math.nan),)),
        ("waves", (Wave(percent=1.0, criticality=2), Wave(percent=5.0, criticality=1))),
        ("waves", (Wave(percent=1.0, cohort="c" * 65),)),
        ("criteria", ()),
        ("criteria", (LOSS, LOSS)),
        ("alpha", 0.0),
        ("abort_error", 1.0),
        ("block_s", 0.0),
        ("watermark_s", -1.0),
        ("group", 0),
        ("halt_group", 21),
        ("min_devices", 0),
        ("min_share", 0.0),
        ("min_blocks", 1001),
        ("min_labels", 0),
        ("clip", 1.1),
        ("warmup_labels", -1),
        ("probation_s", math.inf),
        ("max_failed", 0.2),
        ("min_success", 0.0),
    ],
)
def test_a_plan_out_of_range_names_its_field(field: str, value: object) -> None:
    with pytest.raises(PlanError) as caught:
        RolloutPlan(**{field: value})  # type: ignore[arg-type]
    assert caught.value.field == field
    assert caught.value.remedy


def test_less_critical_cohorts_go_first_and_percents_grow_within_each() -> None:
    waves = (
        Wave(percent=10.0, cohort="lab"),
        Wave(percent=100.0, cohort="lab"),
        Wave(percent=10.0, cohort="plant", criticality=1),
    )
    assert RolloutPlan(waves=waves).waves == waves


@pytest.mark.parametrize(
    "change",
    [
        {"name": "mood"},
        {"low": 0.001},
        {"limit": 0.03},
        {"limit": math.nan},
        {"halt": 0.03},
        {"halt": 0.0},
        {"bad": 0.04},
        {"sd": 0.0},
    ],
)
def test_a_criterion_out_of_range_is_refused(change: dict[str, object]) -> None:
    wrong = Criterion(**{**msgspec.structs.asdict(LOSS), **change})
    with pytest.raises(PlanError, match="criteria"):
        RolloutPlan(criteria=(wrong,))


@pytest.mark.parametrize("text", [b"{", b'{"gruop": 3}', b'{"group": "3"}', b"\xff", b" " * 70_000, b'{"group": 0}'])
def test_what_is_no_plan_is_refused(text: bytes) -> None:
    with pytest.raises(PlanError):
        RolloutPlan.from_json(text)


def test_no_bet_can_lose_everything() -> None:
    for c in RolloutPlan().criteria:
        assert max(c.pass_bets.lambdas) * (c.high - c.limit) / c.span < 1
        assert max(c.halt_bets.lambdas) * (c.halt - c.low) / c.span < 1
