"""The words of a report: its headline, the names of scores and options, and how to read them."""

from collections.abc import Mapping
from typing import Any

from acclimate_device.report_page import known, number, percentage, short

SAME = 0.005  # a gain below half a percent is none
MANY = 9.0  # tenfold errors

#: Score: title, hint, whether it is a share.
SCORES = {
    "accuracy": ("Right answers", "since the first label came", True),
    "accuracy_all_rows": ("Right of all rows", "rows before the first label count as wrong", True),
    "balanced_accuracy": ("Balanced accuracy", "every class counts the same", True),
    "kappa": ("Kappa", "0 is chance, 1 is perfect", False),
    "kappa_temporal": ("Kappa-temporal", "0 is repeating the last label", False),
    "log_loss": ("Log loss", "lower: surer when right", False),
    "mae": ("Mean absolute error", "lower is better", False),
    "rmse": ("Root mean square error", "lower; punishes large errors", False),
    "r2": ("R²", "1 is perfect, 0 the mean", False),
}

BASELINES = {
    "no_change": "repeat the last label",
    "majority": "most common label",
    "last": "repeat the last value",
    "mean": "mean so far",
}

OPTIONS = {
    "task": "Task",
    "delay": "Labels come late by (rows)",
    "micro_batch": "Rows between commits",
    "inner": "Most rows in one step",
    "seed": "Seed",
    "learners": "Learners",
    "key": "Key column",
    "ignore": "Ignored columns",
    "rows": "Row limit",
}

#: Key in the result, name, decimals, unit.
COSTS = (
    ("throughput_events_per_s", "Events a second", 0, ""),
    ("wall_s", "Time", 1, " s"),
    ("cpu_s", "Processor time", 1, " s"),
    ("peak_rss_mib", "Most memory", 0, " MiB"),
    ("state_bytes", "State", 0, " bytes"),
    ("commits", "Commits", 0, ""),
)

READING = (
    (
        "Test, then train",
        "Every row was predicted before its label was learned. No score here is about a row that was seen before.",
    ),
    (
        "Late labels (delay)",
        "With a delay of d rows, a prediction knew only labels at least d + 1 rows older: as late as in service.",
    ),
    (
        "Baselines",
        "Neighbouring rows are often alike: repeating the last label scores well unlearned. It is the score to beat.",
    ),
    (
        "Who was listened to",
        "Several learners answer every row. Those that were right when labels came weigh more in later answers.",
    ),
)

READING_CLASSES = (
    ("Kappa", "How far above chance the answers were, given how common each class is: 0 is chance, 1 is perfect."),
    (
        "Kappa-temporal",
        "The part of the mistakes of repeating the last label that is gone. Below 0, repeating would have been better.",
    ),
)

READING_VALUES = (
    (
        "Mean absolute error",
        "How far off a prediction was on average, in the unit of the label. Lower is better; 0 is perfect.",
    ),
    ("R²", "The part of the label’s variation that was predicted: 1 is all, 0 is no better than the overall mean."),
)


def headline(rows: float | None, served: float | None, repeating: float | None, *, regression: bool) -> str:
    """Return what happened in plain language."""
    if not rows:
        return "No row was scored."
    said = f"Predicted {rows:,.0f} rows before seeing their labels."
    if served is None:
        return said
    other = "" if repeating is None else number(repeating) if regression else percentage(repeating)
    if regression:
        tail = f"; repeating the last value would have been off by {other}" if other else ""
        return f"{said} They were off by {number(served)} on average{tail}."
    tail = f"; repeating the last label would have scored {other}" if other else ""
    return f"{said} {percentage(served)} were right{tail}."


def comparison(served: float | None, repeating: float | None, *, regression: bool) -> str:
    """Return how much of the error of repeating the last label is gone, in a sentence."""
    if served is None or repeating is None:
        return ""
    error, reference = (served, repeating) if regression else (1.0 - served, 1.0 - repeating)
    what = "error" if regression else "mistakes"
    if reference <= 0.0:
        return "Repeating the last label was never wrong here, so there was nothing to gain."
    gain = (reference - error) / reference
    if abs(gain) < SAME:
        return f"That is about as {'large an error' if regression else 'many mistakes'} as repeating."
    if gain > 0:
        return f"That is {percentage(gain, 0)} {'less error' if regression else 'fewer mistakes'} than repeating."
    more = "over ten times" if gain < -MANY else f"{percentage(1.0 - gain, 0)} of"
    return f"That is {more} the {what} of repeating: on this stream, learning was not worth it."


def apart(score: float | None, reference: float | None, *, regression: bool) -> str:
    """Return how far a score is from that of repeating the last label: in points, or in percent of its error."""
    if score is None or reference is None:
        return "–"
    if not regression:
        return _signed(100 * (score - reference), " points")
    ratio = known(score / reference) if reference > 0 else None
    return "–" if ratio is None else _signed(100 * (ratio - 1.0), "\u202f%")


def _signed(value: float, unit: str) -> str:
    if abs(value) < 0.05:  # noqa: PLR2004
        return f"±0{unit}"
    return f"{'+' if value > 0 else '−'}{abs(value):,.1f}{unit}"


def option(value: object) -> str:
    """Return the value of an option for people."""
    if value is None or value in ([], ()):
        return "–"
    if isinstance(value, list | tuple):
        return short(", ".join(str(item) for item in value), 400)
    return number(value) if known(value) is not None else short(str(value), 400)


def reading(result: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the terms that this result uses, with their meaning."""
    return READING + (READING_VALUES if result.get("task") == "regression" else READING_CLASSES)
