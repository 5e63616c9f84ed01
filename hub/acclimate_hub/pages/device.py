"""One device: what it should run and what it runs, its contest, drift, and what became of its models."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from sqlalchemy import Connection, Row

from acclimate_hub import limits
from acclimate_hub.limits import Retention
from acclimate_hub.pages import graph, inputs, svg
from acclimate_hub.pages.fleet import Count, standing
from acclimate_hub.pages.inputs import Inputs
from acclimate_hub.pages.render import NO_BASE_WORDS
from acclimate_hub.pages.views import Desk
from acclimate_hub.rollout import machine
from acclimate_hub.rollout.records import DeviceRow, Rollout
from acclimate_hub.store import devices, metrics, overview
from acclimate_hub.store.metrics import Question
from acclimate_shared.messages.envelope import decode
from acclimate_shared.messages.topics import Kind
from acclimate_shared.messages.up import CandidateScore, Drift, Metrics, Resources, RolloutReport, State, TestState
from acclimate_shared.rollout_reports import DeviceState
from acclimate_shared.waves import NO_BASE, Action, Stage

HISTORY = 200  # versions that are read
SHOWN = 14  # rows of the graph of versions
UPDATES = 10
FINE_S = 6 * 3600.0  # a chart of this span has fine buckets; else coarse ones over a week
KINDS = {
    "start": ("Learning began", "good"),
    "commit": ("Learned", "plain"),
    "promote": ("A challenger took over", "good"),
    "rollback": ("Went back to the version before", "bad"),
    "override": ("A person or a rollout chose who serves", "warn"),
    "merge": ("A base and what was learned here were merged", "good"),
    "surgery": ("The model was rebuilt", "warn"),
    "import": ("A base arrived and began its contest", "good"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """What the hub wants of a device, and what it says; ``reason`` is why they differ."""

    rollout: Rollout | None
    row: DeviceRow | None
    wanted: str
    words: str
    running: str
    agrees: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A test of a challenger, with its bar."""

    state: TestState
    bar: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Who answers and who would like to; charts are empty where there is nothing to draw."""

    time_s: float
    measure: str
    scores: tuple[CandidateScore, ...]
    tests: tuple[Test, ...]
    drift: tuple[Drift, ...]
    resources: Resources
    score_chart: Markup | str
    score_names: tuple[str, ...]
    evidence_chart: Markup | str
    evidence_names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened."""

    time_s: float
    title: str
    detail: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Everything on the page."""

    row: Row[Any]
    standing: Count
    state: State | None
    twin: Twin
    contest: Contest | None
    inputs: Inputs | None
    moments: tuple[Moment, ...]
    graph: Markup | str


def glance(connection: Connection, tenant: str, device: str, desk: Desk, now_s: float) -> Device:
    """Return the page.

    Raises:
        MissingError: there is no such device.
    """
    row = devices.get(connection, tenant, device)
    state: State | None = decode(row.reported, Kind.STATE).body if row.reported is not None else None
    versions = overview.history(connection, tenant, device, HISTORY)
    updates = overview.newest_events(connection, tenant, device, "rollout-report", UPDATES)
    window = _window(connection, tenant, device)
    moments = [*_moments(versions), *(_update(one.time_s, decode(one.payload, Kind.UP).body) for one in updates)]
    return Device(
        row=row,
        standing=standing(row, now_s),
        state=state,
        twin=_twin(desk, row, state),
        contest=_contest(connection, tenant, device, window) if window else None,
        inputs=inputs.glance(connection, tenant, device, window) if window else None,
        moments=tuple(sorted(moments, key=lambda one: -one.time_s)[:SHOWN]),
        graph=_graph(connection, tenant, versions[:SHOWN]),
    )


def _twin(desk: Desk, row: Row[Any], state: State | None) -> Twin:
    """Compare; of several rollouts of its cohort the one that was started last speaks."""
    running = state.running if state else ""
    started = [one for one in desk.all() if one.number and row.cohort in one.cohorts]
    rollout = max(started, key=lambda one: one.number, default=None)
    if rollout is None:
        wanted = state.wanted if state else ""
        return _compared(None, None, wanted or running, "No rollout asks anything of it.", running, state)
    document, report = machine.desired(rollout, row.cohort), desk.row(rollout, row.device)
    asked = document.asks(row.device)
    if document.action is Action.RETURN:
        words = "The rollout has ended: the previous model is to answer."
    elif asked is Stage.SERVE:
        words = "The new base is to answer."
    elif asked is Stage.SHADOW:
        words = "The new base is to run in shadow; the previous model answers."
    else:
        words = "It is not in a wave yet: the previous model answers."
    if document.action is Action.HOLD:
        words = f"The rollout is paused. {words}"
    return _compared(rollout, report, document.answering(row.device), words, running, state)


def _compared(
    rollout: Rollout | None, report: DeviceRow | None, wanted: str, words: str, running: str, state: State | None
) -> Twin:
    agrees = (wanted or NO_BASE) == (running or NO_BASE)
    reasons = [state.differs.replace("-", " ") if state else "", report.reason if report else ""]
    if state is None:
        reasons.append("it has not spoken yet")
    elif not state.online:
        reasons.append("it is offline")
    reason = "" if agrees else next((one for one in reasons if one), "it has not said why")
    return Twin(rollout=rollout, row=report, wanted=wanted, words=words, running=running, agrees=agrees, reason=reason)


def _window(connection: Connection, tenant: str, device: str) -> Metrics | None:
    """Return what the device measured last."""
    event = overview.newest_event(connection, tenant, device, "metrics")
    found: Metrics | None = decode(event.payload, Kind.UP).body if event else None
    return found


def _contest(connection: Connection, tenant: str, device: str, body: Metrics) -> Contest:
    champion = next((score for score in body.scores if score.role == "champion"), None)
    measure = champion.measure if champion else (body.scores[0].measure if body.scores else "")
    scores = tuple(score for score in body.scores if score.measure == measure)
    end_s = body.end_s
    score_lines, width_s = _series(connection, tenant, device, measure, [score.candidate for score in scores], end_s)
    log_lines, log_width_s = _series(connection, tenant, device, "log-e", [t.challenger for t in body.tests], end_s)
    limit = min((test.threshold for test in body.tests), default=None)
    return Contest(
        time_s=body.end_s,
        measure=measure,
        scores=tuple(sorted(scores, key=lambda one: one.role != "champion")),
        tests=tuple(Test(state=test, bar=_bar(test)) for test in body.tests),
        drift=body.drift,
        resources=body.resources,
        score_chart=svg.lines(score_lines, label=f"{measure} over time", bucket_s=width_s) if score_lines else "",
        score_names=tuple(line.name for line in score_lines),
        evidence_chart=svg.lines(log_lines, label="Evidence over time", bucket_s=log_width_s, limit=limit)
        if log_lines
        else "",
        evidence_names=tuple(line.name for line in log_lines),
    )


def _bar(test: TestState) -> Markup:
    met = test.outcome == "promote"
    label = f"Evidence {test.log_e:.2f} of {test.threshold:.2f}"
    return svg.evidence(test.log_e, test.threshold, met=met, stops=False, label=label)


def _series(
    connection: Connection, tenant: str, device: str, measure: str, subjects: Iterable[str], end_s: float
) -> tuple[list[svg.Line], int]:
    """Return a line for each subject that has points, of fine buckets if the last hours have enough of them."""
    kept, names = Retention(), list(dict.fromkeys(subjects))
    found: list[svg.Line] = []
    for width_s, span_s in ((kept.fine_s, FINE_S), (kept.coarse_s, 7 * limits.DAY_S)):
        found = []
        for subject in names[: svg.TONES]:
            asked = Question(
                tenant=tenant,
                measure=measure,
                subject=subject,
                width_s=width_s,
                start_s=end_s - span_s,
                end_s=end_s + limits.DAY_S,
            )
            points = [(float(row.start_s), float(row.mean)) for row in metrics.of_device(connection, asked, device)]
            if points:
                found.append(svg.Line(subject, points))
        if any(len(line.points) > 2 for line in found):  # noqa: PLR2004 - a line, not a dash
            return found, width_s
    return found, kept.coarse_s


def _moments(versions: Sequence[Row[Any]]) -> list[Moment]:
    """Return what happened; commits one after another are one moment."""
    found: list[Moment] = []
    run: list[Row[Any]] = []
    for row in [*versions, None]:
        if row is not None and row.kind == "commit":
            run.append(row)
            continue
        if run:
            found.append(_learned(run))
            run = []
        if row is not None:
            title, tone = KINDS.get(row.kind, (row.kind, "plain"))
            found.append(Moment(time_s=row.time_s, title=title, detail=f"version {row.version}{_gain(row)}", tone=tone))
    return found


def _learned(run: Sequence[Row[Any]]) -> Moment:
    labels = sum(row.labels for row in run)
    what = f"version {run[0].version}" if len(run) == 1 else f"versions {run[-1].version} to {run[0].version}"
    count = "" if len(run) == 1 else f", {len(run)} commits"
    title = f"Learned from {labels:,} labels"
    return Moment(time_s=run[0].time_s, title=title, detail=f"{what}{count}", tone="plain")


def _gain(row: Row[Any]) -> str:
    return "" if row.gain is None else f", gain {row.gain:+.4g}"


def _update(time_s: float, report: RolloutReport) -> Moment:
    tone = {DeviceState.RUNNING: "good", DeviceState.FAILED: "bad", DeviceState.ROLLED_BACK: "bad"}
    reason = f": {report.reason}" if report.reason else ""
    chunks = f", {report.chunks} of {report.chunks_total} chunks" if report.chunks_total else ""
    answers = NO_BASE_WORDS if report.digest == NO_BASE else report.digest[:12]
    detail = f"rollout {report.rollout}, {report.stage}{chunks}; {answers} answers"
    title = f"Update: {report.state}{reason}"
    return Moment(time_s=time_s, title=title, detail=detail, tone=tone.get(report.state, "plain"))


def _graph(connection: Connection, tenant: str, versions: Sequence[Row[Any]]) -> Markup | str:
    if not versions:
        return ""
    edges = overview.edges(connection, tenant, [row.digest for row in versions])
    names = graph.ordered([row.digest for row in versions], edges)
    labels = {
        row.digest: graph.Label(
            title=f"{row.version} · {row.kind}",
            detail=f"{row.digest[:12]} · {row.labels:,} labels{_gain(row)}",
            tone=KINDS.get(row.kind, ("", "plain"))[1],
        )
        for row in versions
    }
    return graph.draw(graph.lay_out(names, edges), labels, title=f"The last {len(names)} versions and their descent")
