"""Charts as SVG text: scores over rows as lines, weights as stacked areas. Colours come from the page.

Every chart is drawn twice, wide and narrow, and the page shows the one that fits a screen or a phone. Neighbouring
windows are averaged until a curve can be followed; the axis says how many rows a point stands for.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from acclimate_device.report_page import number, percentage, short, text
from acclimate_device.report_scale import apart, nice, ticks_between

Values = Sequence[float | None]

LAYERS = ("share", "candidate", "baseline", "served")  # the last lies on top
LABEL_GAP = 15  # between the names at the right


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One curve or area: its value in each window, and its look (``kind``: one of LAYERS)."""

    name: str
    kind: str
    values: Values
    colour: str
    dash: str = ""

    @property
    def look(self) -> str:
        """The attribute that colours it."""
        dash = f";stroke-dasharray:{self.dash}" if self.dash else ""
        return f'style="stroke:{self.colour}{dash}"'


#: Paths of the marks, from their lowest point.
SHAPES = {"promotion": "l-5 -9h10z", "rollback": "h-5l5 -9 5 9z", "drift": "l-5 -5 5 -5 5 5z"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that happened at a row (``kind``: promotion, rollback or drift)."""

    row: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """The room of a drawing in its own units, and how many points and letters fit."""

    name: str
    width: int
    height: int
    left: int
    right: int
    points: int
    letters: int
    top: int = 24
    bottom: int = 46


FRAMES = (
    _Frame(name="wide", width=960, height=380, left=54, right=172, points=64, letters=22),
    _Frame(name="narrow", width=420, height=400, left=46, right=122, points=28, letters=14),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plot:
    """A frame with its scales."""

    frame: _Frame
    first: float
    last: float
    low: float
    high: float

    @property
    def right(self) -> float:
        return self.frame.width - self.frame.right

    @property
    def floor(self) -> float:
        return self.frame.height - self.frame.bottom

    def x(self, row: float) -> float:
        part = (row - self.first) / max(self.last - self.first, 1.0)
        return self.frame.left + (self.right - self.frame.left) * part

    def y(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low)
        return self.floor - (self.floor - self.frame.top) * min(max(part, -9.0), 9.0)


def score_chart(
    title: str, windows: Sequence[tuple[int, int]], series: Sequence[Series], marks: Sequence[Mark], *, percent: bool
) -> str:
    """Return lines over rows.

    Args:
        title: for people who cannot see the chart.
        windows: first and last row of each window.
        series: curves over these windows; the first baseline is always kept in view.
        marks: what happened at which row.
        percent: whether the scale is a share from 0 to 1; otherwise it starts at 0 and has no end.
    """
    if not windows or all(value is None for line in series for value in line.values):
        return "<p>No rows were scored, so there is nothing to draw.</p>"

    def draw(frame: _Frame) -> str:
        spans, calm = _calmed(windows, series, frame.points)
        low, high, ticks = _range(calm, percent=percent)
        plot = _Plot(frame=frame, first=windows[0][0], last=windows[-1][1], low=low, high=high)
        middles = [(a + b) / 2 for a, b in spans]
        order = sorted(calm, key=lambda line: LAYERS.index(line.kind))
        inside = "".join(_curve(plot, middles, line) for line in order)
        ends = [(line, y) for line in calm if (y := _end(plot, line)) is not None]
        parts = (_grid(plot, ticks, spans, percent=percent), _marks(plot, marks), _clipped(plot, inside))
        return "".join(parts) + _names(plot, ends)

    return _both(title, _said(windows, series, percent=percent), draw)


def share_chart(title: str, windows: Sequence[tuple[int, int]], series: Sequence[Series]) -> str:
    """Return shares as areas stacked over rows, the largest at the bottom, scaled to a sum of 1."""
    sums = [sum(max(value or 0.0, 0.0) for value in column) for column in zip(*(s.values for s in series), strict=True)]
    if len(series) < 2 or not any(sums):  # noqa: PLR2004 (two make a committee)
        return "<p>A single learner answered, so there was nothing to weigh.</p>"
    shares = [
        replace(s, values=[max(v or 0.0, 0.0) / n if n else None for v, n in zip(s.values, sums, strict=True)])
        for s in series
    ]
    shares.sort(key=lambda s: sum(value or 0.0 for value in s.values), reverse=True)

    def draw(frame: _Frame) -> str:
        spans, calm = _calmed(windows, shares, frame.points)
        plot = _Plot(frame=frame, first=windows[0][0], last=windows[-1][1], low=0.0, high=1.0)
        rows = [plot.first, *((a + b) / 2 for a, b in spans), plot.last]
        base, areas, ends = [0.0] * len(rows), [], []
        for line in calm:
            known = [value or 0.0 for value in line.values]
            top = [b + v for b, v in zip(base, (known[0], *known, known[-1]), strict=True)]
            areas.append(_area(plot, rows, base, top, line))
            ends.append((line, plot.y((base[-1] + top[-1]) / 2)))
            base = top
        return "".join(areas) + _grid(plot, [0.0, 0.25, 0.5, 0.75, 1.0], spans, percent=True) + _names(plot, ends)

    return _both(title, _said(windows, shares, percent=True), draw)


def _both(title: str, description: str, draw: Callable[[_Frame], str]) -> str:
    return "".join(
        f'<svg class="{f.name}" viewBox="0 0 {f.width} {f.height}" role="img"><title>{text(title)}</title>'
        f"<desc>{text(description)}</desc>{draw(f)}</svg>"
        for f in FRAMES
    )


def _said(windows: Sequence[tuple[int, int]], series: Sequence[Series], *, percent: bool) -> str:
    """Say in words where each curve begins and ends."""
    show = percentage if percent else number
    parts = []
    for line in series:
        known = [value for value in line.values if value is not None]
        if known:
            parts.append(f"{line.name} from {show(known[0])} to {show(known[-1])}")
    return f"Rows {windows[0][0]:,} to {windows[-1][1]:,}: {'; '.join(parts)}."


def _calmed(
    windows: Sequence[tuple[int, int]], series: Sequence[Series], points: int
) -> tuple[list[tuple[int, int]], list[Series]]:
    """Average runs of neighbouring windows, weighted by their rows, until at most ``points`` are left."""
    step = math.ceil(len(windows) / points)
    runs = [slice(i, i + step) for i in range(0, len(windows), step)]
    spans = [(windows[run][0][0], windows[run][-1][1]) for run in runs]
    sizes = [max(last - first + 1, 1) for first, last in windows]

    def mean(values: Values, run: slice) -> float | None:
        known = [(v, n) for v, n in zip(values[run], sizes[run], strict=True) if v is not None]
        total = sum(n for _, n in known)
        return sum(v * (n / total) for v, n in known) if known else None

    return spans, [replace(s, values=[mean(s.values, run) for run in runs]) for s in series]


def _range(series: Sequence[Series], *, percent: bool) -> tuple[float, float, list[float]]:
    """Return lowest, highest and ticks: what served and the first baseline fit, a few wild values may leave."""
    lows, highs, baselines = [], [], 0
    for line in series:
        baselines += line.kind == "baseline"
        important = line.kind == "served" or (line.kind == "baseline" and baselines == 1)
        cut = 0.02 if important else 0.1
        known = sorted(value for value in line.values if value is not None)
        if known:
            lows.append(known[int(cut * (len(known) - 1))])
            highs.append(known[math.ceil((1 - cut) * (len(known) - 1))])
    low, high = (min(lows), max(highs)) if percent else (0.0, max(highs))
    if not high > low:
        low, high = (max(low - 0.05, 0.0), min(high + 0.05, 1.0)) if percent else (0.0, abs(high) or 1.0)
    step = nice((high - low) / 5)
    low, high = math.floor(low / step) * step, math.ceil(high / step - 1e-9) * step
    low, high = (max(low, 0.0), min(high, 1.0)) if percent else (low, high)
    return low, high, ticks_between(low, high, step)


def _grid(plot: _Plot, ticks: Sequence[float], spans: Sequence[tuple[int, int]], *, percent: bool) -> str:
    frame, parts = plot.frame, []
    for value in ticks:
        y = plot.y(value)
        said = percentage(value, 1 if ticks[1:] and ticks[1] - ticks[0] < 0.0099 else 0) if percent else number(value)  # noqa: PLR2004
        parts.append(f'<path class="grid" d="M{frame.left} {y:.1f}H{plot.right}"/>')
        parts.append(f'<text class="tick end" x="{frame.left - 8}" y="{y + 4:.1f}">{said}</text>')
    step = max(nice(max(plot.last - plot.first, 1.0) / (6 if frame.points > 40 else 3)), 1.0)  # noqa: PLR2004
    for row in ticks_between(plot.first, plot.last, step):
        x = plot.x(row)
        parts.append(f'<path class="axis" d="M{x:.1f} {plot.floor}v5"/>')
        parts.append(f'<text class="tick mid" x="{x:.1f}" y="{plot.floor + 19}">{row:,.0f}</text>')
    each = f"row · one point is {spans[0][1] - spans[0][0] + 1:,} rows"
    parts.append(f'<path class="axis" d="M{frame.left} {plot.floor}H{plot.right}"/>')
    parts.append(f'<text class="tick" x="{frame.left}" y="{plot.floor + 38}">{each}</text>')
    return "".join(parts)


def _marks(plot: _Plot, marks: Sequence[Mark]) -> str:
    """Draw promotions and rollbacks as triangles (down, up), drifts as diamonds, at most one in two units of width."""
    places: Mapping[tuple[str, int], Mark] = {(m.kind, round(plot.x(m.row) / 2)): m for m in marks}
    top, parts = plot.frame.top, []
    for (kind, _), mark in places.items():
        x = min(max(plot.x(mark.row), plot.frame.left), plot.right)
        shape = f"M{x:.1f} {top - 2}{SHAPES.get(kind, SHAPES['drift'])}"
        parts.append(
            f'<g class="{kind}"><title>{text(mark.title)}</title>'
            f'<path class="line" d="M{x:.1f} {top}V{plot.floor}"/><path d="{shape}"/></g>'
        )
    return "".join(parts)


def _clipped(plot: _Plot, inside: str) -> str:
    """Cut off what leaves the plot: an inner drawing does so without needing an id."""
    x, y, w, h = plot.frame.left, plot.frame.top - 2, plot.right - plot.frame.left, plot.floor - plot.frame.top + 4
    return f'<svg x="{x}" y="{y}" width="{w}" height="{h}" viewBox="{x} {y} {w} {h}">{inside}</svg>'


def _curve(plot: _Plot, rows: Sequence[float], line: Series) -> str:
    """Draw a line with gaps where nothing is known; a point alone becomes a dot."""
    pieces = []
    pairs = zip(rows, line.values, strict=True)
    for known, run in groupby(pairs, key=lambda pair: pair[1] is not None):
        if known:
            points = [f"{plot.x(row):.1f} {plot.y(value):.1f}" for row, value in run if value is not None]
            pieces.append(f"M{'L'.join(points)}" if len(points) > 1 else f"M{points[0]}h0")
    path = "".join(pieces)
    halo = f'<path class="halo" d="{path}"/>' if line.kind == "served" else ""
    return f'{halo}<path class="{line.kind}" {line.look} d="{path}"><title>{text(line.name)}</title></path>'


def _area(plot: _Plot, rows: Sequence[float], base: Sequence[float], top: Sequence[float], line: Series) -> str:
    there = [f"{plot.x(row):.1f} {plot.y(value):.1f}" for row, value in zip(rows, top, strict=True)]
    back = [f"{plot.x(row):.1f} {plot.y(value):.1f}" for row, value in zip(rows, base, strict=True)][::-1]
    points = "L".join(there + back)
    return f'<path class="area" style="fill:{line.colour}" d="M{points}z"><title>{text(line.name)}</title></path>'


def _end(plot: _Plot, line: Series) -> float | None:
    known = [value for value in line.values if value is not None]
    return min(max(plot.y(known[-1]), plot.frame.top), plot.floor) if known else None


def _names(plot: _Plot, ends: Sequence[tuple[Series, float]]) -> str:
    """Write each name beside the end of its curve, pushed apart where they would meet."""
    room = int((plot.floor - plot.frame.top) / LABEL_GAP)
    ranked = sorted(ends, key=lambda end: LAYERS.index(end[0].kind), reverse=True)
    shown = sorted(ranked[:room], key=lambda end: end[1])
    places = apart([end for _, end in shown], LABEL_GAP, plot.frame.top, plot.floor)
    parts, x = [], plot.right
    for (line, end), y in zip(shown, places, strict=True):
        parts.append(f'<path class="leader" style="stroke:{line.colour}" d="M{x + 2} {end:.1f}L{x + 10} {y:.1f}"/>')
        parts.append(f'<path class="key {line.kind}" {line.look} d="M{x + 10} {y:.1f}h14"/>')
        name = text(short(line.name, plot.frame.letters))
        parts.append(f'<text class="name {line.kind}-name" x="{x + 29}" y="{y + 4:.1f}">{name}</text>')
    if len(ends) > room:
        parts.append(f'<text class="tick" x="{x + 29}" y="{plot.floor + 19}">and {len(ends) - room} more</text>')
    return "".join(parts)
