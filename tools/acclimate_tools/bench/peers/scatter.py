"""A chart of points, as SVG text: how much better than Acclimate, over how fast (logarithmic).

Drawn wide and narrow like the charts of a replay's report, with its scale, its colours and its style.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from acclimate_device.report_page import number, percentage, short, text
from acclimate_device.report_scale import apart, nice, ticks_between

WORST = -0.4  # what lies below is drawn on the floor
GAP = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A peer.

    Attributes:
        name: beside the point.
        speed: events a second, above 0.
        lead: share by which it is better than Acclimate, which is at 0.
        colour: of the point.
        served: whether it is Acclimate's.
    """

    name: str
    speed: float
    lead: float
    colour: str
    served: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plot:
    name: str
    width: int
    height: int
    left: int
    right: int
    letters: int
    scale: tuple[float, float, float, float]  # lowest and highest lead, powers of ten of the slowest and fastest
    top: int = 24
    bottom: int = 46

    @property
    def edge(self) -> float:
        return self.width - self.right

    @property
    def floor(self) -> float:
        return self.height - self.bottom

    def x(self, speed: float) -> float:
        _, _, slow, fast = self.scale
        part = (math.log10(speed) - slow) / (fast - slow)
        return self.left + (self.edge - self.left) * part

    def y(self, lead: float) -> float:
        low, high, _, _ = self.scale
        part = (min(max(lead, low), high) - low) / (high - low)
        return self.floor - (self.floor - self.top) * part


def scatter(title: str, points: Sequence[Point]) -> str:
    """Return the chart; a sentence where there is nothing to draw."""
    if not points:
        return "<p>Nothing was measured, so there is nothing to draw.</p>"
    leads = [max(point.lead, WORST) for point in points]
    low, high = min([*leads, 0.0]), max([*leads, 0.0])
    step = nice(max(high - low, 0.01) / 5)
    scale = (
        math.floor(low / step) * step,
        math.ceil(high / step + 1e-9) * step,
        math.floor(math.log10(min(point.speed for point in points))),
        math.floor(math.log10(max(point.speed for point in points))) + 1,
    )
    height = max(380, int(GAP * len(points)) + 80)
    plots = (
        _Plot(name="wide", width=960, height=height, left=54, right=190, letters=25, scale=scale),
        _Plot(name="narrow", width=420, height=height, left=46, right=130, letters=15, scale=scale),
    )
    return "".join(_drawn(plot, title, points, step) for plot in plots)


def _drawn(plot: _Plot, title: str, points: Sequence[Point], step: float) -> str:
    said = "; ".join(f"{p.name}: {percentage(p.lead)} at {number(p.speed)} events a second" for p in points)
    inside = f"{_grid(plot, step)}{_points(plot, points)}"
    box = f'viewBox="0 0 {plot.width} {plot.height}"'
    words = f"<title>{text(title)}</title><desc>{text(said)}.</desc>"
    return f'<svg class="{plot.name}" {box} role="img">{words}{inside}</svg>'


def _grid(plot: _Plot, step: float) -> str:
    parts = []
    low, high, slow, fast = plot.scale
    for value in ticks_between(low, high, step):
        y = plot.y(value)
        kind = "axis" if abs(value) < step / 2 else "grid"
        parts.append(f'<path class="{kind}" d="M{plot.left} {y:.1f}H{plot.edge}"/>')
        parts.append(f'<text class="tick end" x="{plot.left - 8}" y="{y + 4:.1f}">{percentage(value, 1)}</text>')
    for power in range(int(slow), int(fast) + 1):
        x = plot.x(10.0**power)
        parts.append(f'<path class="axis" d="M{x:.1f} {plot.floor}v5"/>')
        parts.append(f'<text class="tick mid" x="{x:.1f}" y="{plot.floor + 19}">{10**power:,}</text>')
    parts.append(f'<path class="axis" d="M{plot.left} {plot.floor}H{plot.edge}"/>')
    words = "events a second and core"
    parts.append(f'<text class="tick" x="{plot.left}" y="{plot.floor + 38}">{words}</text>')
    return "".join(parts)


def _points(plot: _Plot, points: Sequence[Point]) -> str:
    ranked = sorted(points, key=lambda point: plot.y(point.lead))
    places = apart([plot.y(point.lead) for point in ranked], GAP, plot.top, plot.floor)
    parts, dots = [], []
    for point, at in zip(ranked, places, strict=True):
        x, y = plot.x(point.speed), plot.y(point.lead)
        style = f'style="stroke:{point.colour}"'
        parts.append(f'<path class="leader" {style} d="M{x:.1f} {y:.1f}L{plot.edge} {at:.1f}h8"/>')
        label = text(short(point.name, plot.letters))
        kind = "name served-name" if point.served else "name"
        parts.append(f'<text class="{kind}" x="{plot.edge + 12}" y="{at + 4:.1f}">{label}</text>')
        radius = 6 if point.served else 4
        dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" style="fill:{point.colour}">'
        dots.append(f"{dot}<title>{text(point.name)}</title></circle>")
    return "".join(parts + dots)
