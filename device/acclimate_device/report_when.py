"""The part of the page that tells when a model learned, and when its stream was no longer what it had been."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from acclimate_device.report_page import cell, known, number, section, table, text

MOST_SHOWN = 20
ON = {"loss": "the champion’s losses rose", "inputs": "the inputs shifted"}


def when_section(result: Mapping[str, Any]) -> str:
    """Return the section, or nothing if every label was learned at once and nothing drifted.

    Args:
        result: of a replay; anything in it may be missing or odd.
    """
    firings, marks = _firings(result.get("cadence")), _drift(result.get("drift"))
    return section("When it learned, and what changed", firings, marks, flows=True) if firings or marks else ""


def _firings(cadence: object) -> str:
    if not isinstance(cadence, Mapping):
        return ""
    firings = _items(cadence.get("firings"))
    counts = Counter(str(firing.get("trigger")) for firing in firings)
    by = ", ".join(f"{name} {count:,}×" for name, count in counts.most_common(6))
    said = f"Labels were judged at once; learning waited for a trigger, which fired {number(cadence.get('fired'), 0)} "
    said += f"times ({by}). " if by else "times. "
    if known(cadence.get("dropped_rows")):
        said += (
            f"{number(cadence.get('dropped_rows'), 0)} labels were passed over, because learning would bring nothing "
        )
        said += "or came too seldom. "
    held = cadence.get("held_back")
    if isinstance(held, Mapping):
        said += f"At the end {held.get('trigger')} was due, held back by {str(held.get('reason')).replace('_', ' ')}."
    lines = (
        f"<tr>{cell(number(f.get('row'), 0), 'n')}{cell(f.get('trigger'))}{cell(_told(f.get('cause')), 'why')}"
        f"{cell(number(f.get('gain')) if known(f.get('gain')) is not None else '', 'n')}</tr>"
        for f in firings[::-1][:MOST_SHOWN]
    )
    columns = (("row", "n"), ("trigger", ""), ("measured cause", ""), ("brought at least", "n"))
    grid = table(columns, lines) if firings else ""
    more = f'<p class="soft">The last {MOST_SHOWN} are shown.</p>' if len(firings) > MOST_SHOWN else ""
    return f"<p>{text(said.strip())}</p>{grid}{more}"


def _drift(marks: object) -> str:
    found = _items(marks)
    if not found:
        return ""
    lines = (
        f"<tr>{cell(number(m.get('row'), 0), 'n')}{cell(ON.get(str(m.get('on')), m.get('on')))}"
        f"{cell(m.get('detector'))}{cell(_told(m.get('detail')), 'why')}</tr>"
        for m in found[::-1][:MOST_SHOWN]
    )
    said = (
        "◇ Two detectors look on: one at the champion’s losses, one at the inputs, which needs no label. A mark says "
    )
    said += f"that the stream changed, not that answers were worse. {len(found):,} marks."
    columns = (("row", "n"), ("what changed", ""), ("detector", ""), ("numbers", ""))
    return f"<p>{text(said)}</p>{table(columns, lines)}"


def _told(numbers: object) -> str:
    """Return measured numbers as words; those of composed triggers by the name of the part."""
    if not isinstance(numbers, Mapping):
        return ""
    parts = []
    for name, value in numbers.items():
        said = str(name).replace("_", " ")
        if isinstance(value, Mapping):
            parts.append(f"{said}: {_told(value)}")
        else:
            parts.append(f"{said} {number(value) if known(value) is not None else value}")
    return ", ".join(parts)


def _items(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
