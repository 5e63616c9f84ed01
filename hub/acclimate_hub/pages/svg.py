"""Charts as SVG text, made on the server; colours are classes, so that the style sheet decides light and dark.

Every chart is an image with a sentence for who cannot see it. Nothing here has a ``style`` attribute: the policy of the
pages would refuse it.

Example:
    >>> str(tag("rect", x=1.0, class_="bar", label='"<'))
    '<rect x="1" class="bar" label="&#34;&lt;"/>'
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup, escape

WIDTH, HEIGHT = 440, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 24  # margins of a chart of lines
TICKS = 4
GAP_BUCKETS = 3.0  # a line is broken where more buckets than these are missing
LIMIT_AT = 0.8  # where along its bar a threshold stands
TONES = 6  # colours of lines in the style sheet

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart; points are (time in seconds, value), oldest first."""

    name: str
    points: Sequence[Point]


def tag(name: str, *inside: Markup | str, **attributes: float | str) -> Markup:
    """Return an element; attributes and texts are escaped, ``class_`` is ``class`` and ``_`` is ``-``."""
    words = [f'{key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"' for key, value in attributes.items()]
    head = " ".join([name, *words])
    body = Markup("").join(escape(part) for part in inside)
    return Markup(f"<{head}>{body}</{name}>") if inside else Markup(f"<{head}/>")  # noqa: S704 - escaped above


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{round(value, 2):g}"


def _image(
    label: str, width: float, height: float, inside: Iterable[Markup], class_: str, *, stretch: bool = False
) -> Markup:
    view = f"0 0 {_text(width)} {_text(height)}"
    how = {"preserveAspectRatio": "none"} if stretch else {}
    return tag("svg", *inside, viewBox=view, class_=class_, role="img", aria_label=label, **how)


def evidence(value: float, threshold: float, *, met: bool, stops: bool, label: str) -> Markup:
    """Return a bar that grows towards the mark of its threshold.

    Args:
        value: on the scale of the threshold; below nothing it is nothing.
        threshold: where the mark stands.
        met: whether it counts as reached.
        stops: whether reaching it is bad.
        label: for who cannot see it.
    """
    share = min(max(value / threshold, 0.0), 1 / LIMIT_AT) if threshold > 0 else float(met)
    tone = ("bad" if stops else "good") if met else ("warn" if stops else "plain")
    mark = LIMIT_AT * 400
    return _image(
        label,
        400,
        22,
        (
            tag("rect", x=0, y=6, width=400, height=10, class_="track"),
            tag("rect", x=0, y=6, width=max(share * mark, 3.0), height=10, class_=f"fill {tone}"),
            tag("line", x1=mark, x2=mark, y1=0, y2=22, class_="mark"),
        ),
        "bar",
        stretch=True,
    )


def stacked(parts: Sequence[tuple[str, int, str]], label: str) -> Markup:
    """Return a bar of shares: (name, count, tone) each; the names stand beside it in the page."""
    total, at = sum(count for _, count, _ in parts), 0.0
    found = [tag("rect", x=0, y=0, width=400, height=16, class_="track")]
    for name, count, tone in parts:
        width = 400 * count / total if total else 0.0
        if width:
            found.append(tag("rect", tag("title", f"{name}: {count}"), x=at, y=0, width=width, height=16, class_=tone))
        at += width
    return _image(label, 400, 16, found, "stack", stretch=True)


def spark(points: Sequence[Point], label: str) -> Markup:
    """Return a small line without axes."""
    low, high = _range([value for _, value in points], None)
    start, end = points[0][0], points[-1][0]
    places = [
        (4 + 112 * ((time - start) / (end - start) if end > start else 1.0), 4 + 24 * (high - value) / (high - low))
        for time, value in points
    ]
    x, y = places[-1]
    inside = [
        tag("path", d=_path([places]), class_="line line-0"),
        tag("circle", cx=x, cy=y, r=2.5, class_="dot line-0"),
    ]
    return _image(label, 120, 32, inside, "spark")


def lines(series: Sequence[Line], *, label: str, bucket_s: float, limit: float | None = None) -> Markup:
    """Return a chart of lines over time.

    Args:
        series: at least one point altogether.
        label: what it shows; the last values are added.
        bucket_s: width of a bucket; longer gaps break a line.
        limit: a threshold to draw.
    """
    times = [time for line in series for time, _ in line.points]
    values = [value for line in series for _, value in line.points]
    low, high = _range(values, limit)
    start, end = min(times), max(times)

    def place(point: Point) -> Point:
        share = (point[0] - start) / (end - start) if end > start else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT), _height(point[1], low, high)

    inside = [*_grid(low, high), *_clock(start, end)]
    if limit is not None:
        y = _height(limit, low, high)
        inside.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="limit"))
    for at, line in enumerate(series):
        tone = f"line-{at % TONES}"
        parts = [[place(point) for point in part] for part in _parts(line.points, GAP_BUCKETS * bucket_s)]
        inside.append(tag("path", d=_path(parts), class_=f"line {tone}"))
        inside += [
            tag("circle", cx=part[0][0], cy=part[0][1], r=2.5, class_=f"dot {tone}") for part in parts if len(part) == 1
        ]
    last = ", ".join(f"{line.name} {line.points[-1][1]:.3g}" for line in series if line.points)
    return _image(f"{label}. Last: {last}.", WIDTH, HEIGHT, inside, "chart")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One bin of a histogram; both shares are from 0 to 1."""

    title: str
    share: float
    usual: float


def histogram(bins: Sequence[Bin], label: str) -> Markup:
    """Return a histogram of shares, each with a mark at what is usual."""
    wide, high = 240.0, 48.0
    step, most = wide / len(bins), max(max(one.share, one.usual) for one in bins) or 1.0
    found = [tag("line", x1=0, x2=wide, y1=high, y2=high, class_="rule")]
    for at, one in enumerate(bins):
        x, width = at * step + 1, max(step - 2, 1.0)
        tall, usual = (high * share / most for share in (one.share, one.usual))
        title = tag("title", one.title)
        found.append(tag("rect", title, x=x, y=high - tall, width=width, height=tall, class_="fill live"))
        if one.usual:
            found.append(tag("line", x1=x, x2=x + width, y1=high - usual, y2=high - usual, class_="mark"))
    return _image(label, wide, high + 1, found, "bins", stretch=True)


def _height(value: float, low: float, high: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)


def _range(values: Sequence[float], limit: float | None) -> Point:
    found = [*values, *([] if limit is None else [limit])]
    low, high = min(found), max(found)
    room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    return low - room, high + room


def nice_ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Return round numbers inside a range, about ``count`` of them."""
    raw = (high - low) / count
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)
    return [step * at for at in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _grid(low: float, high: float) -> list[Markup]:
    found = []
    for value in nice_ticks(low, high):
        y = _height(value, low, high)
        found.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="rule"))
        found.append(tag("text", f"{value:.4g}", x=LEFT - 6, y=y + 4, text_anchor="end", class_="tick"))
    return found


def _clock(start: float, end: float) -> list[Markup]:
    form = "%d %b %H:%M" if end - start < 7 * 86400 else "%d %b %Y"
    words = [datetime.fromtimestamp(time, UTC).strftime(form) for time in (start, end)]
    left = tag("text", words[0], x=LEFT, y=HEIGHT - 6, class_="tick")
    right = tag("text", words[1], x=WIDTH - RIGHT, y=HEIGHT - 6, text_anchor="end", class_="tick")
    return [left, right] if end > start else [right]


def _parts(points: Sequence[Point], gap_s: float) -> list[list[Point]]:
    """Return the points in runs without a gap."""
    parts: list[list[Point]] = []
    for point in points:
        if parts and point[0] - parts[-1][-1][0] <= gap_s:
            parts[-1].append(point)
        else:
            parts.append([point])
    return parts


def _path(parts: Iterable[Sequence[Point]]) -> str:
    return "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in part) for part in parts if part)
