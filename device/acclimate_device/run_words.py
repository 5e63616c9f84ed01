"""What a live run tells about the contest: who serves, who leads, what has happened lately, when it learns."""

from collections.abc import Mapping
from typing import Any

LATEST = 3  # things that happened, shown at a time


def contest_lines(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (name, value) lines of a table from ``Agent.status``."""
    lines = [("champion", f"{status['champion']}  (policy {status['policy']})")]
    tests = sorted(status["tests"].items(), key=lambda test: -_share(*test[1]))
    for at, (name, (log_e, threshold)) in enumerate(tests):
        leads = "  (leads)" if at == 0 and len(tests) > 1 and log_e > 0 else ""
        lines.append((f"challenger {name}", f"{_bar(_share(log_e, threshold))} of the evidence it needs{leads}"))
    counts = status.get("happened") or {}
    told = [f"{count} {name}{'s' if count > 1 else ''}" for name, count in counts.items() if count]
    lines.append(("so far", ", ".join(told) or "nothing was promoted, rolled back or quarantined"))
    lines += [("", text) for text in status.get("latest", [])[-LATEST:]]
    drift = status.get("drift") or []
    if drift:
        lines.append(("drift", f"of the {drift[-1]['on']}, at row {drift[-1]['row']:,}"))
    return [*lines, *gain_lines(status.get("gains") or {}), *_learning(status.get("triggers") or {})]


def gain_lines(gains: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what learning on and other learners have brought, from ``Gains.result``."""
    lines = []
    for way, name, than in (
        ("data", "learning on", "the last proven state"),
        ("model", "other learners", "what served first"),
    ):
        told = gains.get(way) or {}
        gain = told.get("gain_per_label")
        if not gain:
            continue
        text = f"{abs(gain):.4g} {'less' if gain > 0 else 'more'} loss a label than {than}"
        if told.get("gain_per_cpu_s") is not None:
            text += f"; {told['gain_per_cpu_s']:.3g} of summed loss for each of {told['cpu_s']:.3g} CPU-seconds"
        lines.append((name, text))
    return lines


def _learning(triggers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return when it learns, and why it did last."""
    if "fired" not in triggers:
        return [("learns", "every label at once")]
    waits = f"{triggers['held']:,} labels wait"
    held = triggers.get("held_back")
    if held:
        waits += f", held back by {held['reason'].replace('_', ' ')}"
    last = triggers.get("last_firing")
    why = f"; last by {last['trigger']} at row {last['row']:,}" if last else ""
    return [("learns", f"when a trigger fires: {triggers['fired']:,} times{why}; {waits}")]


def _share(log_e: float, threshold: float) -> float:
    return min(max(log_e, 0.0) / threshold, 1.0)


def _bar(share: float) -> str:
    full = round(10 * share)
    return f"{'█' * full}{'░' * (10 - full)} {100 * share:.0f} %"
