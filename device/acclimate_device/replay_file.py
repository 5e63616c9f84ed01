"""Replay a file from beginning to end, with or without a state folder that survives being killed.

The state is bound to the file's digest and to every option that affects a result. A replay that is started again reads
and checks the rows it has done, without learning them, and goes on after the last commit; so rejected rows are counted
the same, and the result is that of a run that was never disturbed.
"""

import math
import resource
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from acclimate_device.inputs import Inputs
from acclimate_device.lineage_log import Recorder
from acclimate_device.outside import Visitors
from acclimate_device.plans import default_plan, read_plan
from acclimate_device.prior import digest_of, read_prior, take
from acclimate_device.procedures import Task, told
from acclimate_device.replay import Options, Replay, Row
from acclimate_device.rules import COMMISSION, Policy, Rules
from acclimate_device.schema import MISSING, SAMPLE_ROWS, infer_columns
from acclimate_device.sources import Event, Rejects, Source, file_digest, open_source
from acclimate_device.triggers import Policy as Triggers
from acclimate_device.triggers.files import read_triggers
from acclimate_device.variants import read_variants
from acclimate_shared.errors import InputError, SourceError, UsageError

if TYPE_CHECKING:  # what seals takes memory: loaded where a state is kept
    from acclimate_device.store import Store

RESULT_FORMAT = 1
MAX_CLASS_NUMBERS = 100  # whole-number labels with more different values than this are a regression

Shown = Callable[[Replay], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to replay, and how; see ``acclimate replay --help``."""

    path: str
    label: str
    task: Literal["auto", "classification", "regression"] = "auto"
    ignore: tuple[str, ...] = ()
    key: str | None = None
    learners: tuple[str, ...] | None = None
    delay: int = 0
    micro_batch: int = 512
    inner: int = 32
    rows: int | None = None
    seed: int = 0
    state: Path | None = None
    policy: Policy = "continual"
    commission: int = COMMISSION
    challengers: tuple[str, ...] | None = None
    plan: Path | None = None
    triggers: str | None = None
    prior: Path | None = None
    scratch: int = 0
    variants: Path | None = None
    outside: tuple[Path, ...] = ()


def guess_task(labels: list[str]) -> Task:
    """Return regression if all labels are numbers and some is not whole or over 100 differ, else classification."""
    try:
        numbers = {float(label) for label in labels}
    except ValueError:
        return "classification"
    if not numbers or not all(math.isfinite(n) for n in numbers):
        return "classification"
    fractions = any(not n.is_integer() for n in numbers)
    return "regression" if fractions or len(numbers) > MAX_CLASS_NUMBERS else "classification"


@dataclass(slots=True)
class Prepared:
    """An opened stream, its first rows, and what was decided from them."""

    source: Source
    sample: list[Event]
    rest: Iterator[Event]
    rejects: Rejects
    inputs: Inputs
    task: Task
    warnings: list[str]
    rules: Rules
    triggers: Triggers | None = None


def prepare(request: Request) -> Prepared:
    """Open the file and decide task and columns from the first SAMPLE_ROWS rows; close ``source`` when done.

    Raises:
        UsageError: the label column does not exist, or the plan cannot be used.
        SourceError: the file cannot be read or has no rows.
    """
    rejects = Rejects()
    source = open_source(
        request.path,
        label=request.label,
        key=request.key,
        ignore=request.ignore,
        rejects=rejects,
        max_rows=request.rows,
    )
    try:
        return _decide(request, source, rejects)
    except BaseException:
        source.close()
        raise


def _decide(request: Request, source: Source, rejects: Rejects) -> Prepared:
    rest = iter(source)
    sample = list(islice(rest, SAMPLE_ROWS))
    if not sample:
        remedy = "the rejected rows tell why" if rejects.count else "it needs rows under its header"
        raise SourceError("no row can be used", field="file", value=request.path, remedy=remedy)
    labels = [str(event.label).strip() for event in sample if event.label is not None]
    labels = [label for label in labels if label not in MISSING]
    task = guess_task(labels) if request.task == "auto" else request.task
    values = [[event.values.get(name) for name in source.columns] for event in sample]
    columns, dropped = infer_columns(source.columns, values, levels_too=task == "regression")
    warnings = list(source.warnings)
    warnings += [f"column {name!r} is not used: nearly every value is different" for name in dropped]
    if not columns:
        remedy = "give the file a column beside the label, or ignore fewer"
        raise UsageError("no column is left to learn from", field="ignore", remedy=remedy)
    plan = read_plan(request.plan, task) if request.plan else None
    rules = Rules(
        policy=request.policy,
        challengers=request.challengers,
        plan=plan,
        commission=request.commission,
        scratch=request.scratch,
        variants=read_variants(request.variants, task) if request.variants else (),
        visitors=Visitors(folders=request.outside),
    )
    triggers = read_triggers(request.triggers) if request.triggers else None
    return Prepared(source, sample, rest, rejects, Inputs(task, columns), task, warnings, rules, triggers)


def checked(prepared: Prepared) -> Iterator[Row]:
    """Yield the rows that can be used, letting go of the sample; count the others with their reason."""
    sample = deque(prepared.sample)
    prepared.sample.clear()
    for event in chain(_emptied(sample), prepared.rest):
        try:
            parsed = prepared.inputs.parse(event.values, row=event.row)
            label = prepared.inputs.label(event.label, row=event.row)
            yield Row(row=event.row, parsed=parsed, label=label, key=event.key)
        except InputError as exc:
            prepared.rejects.add(exc)


def _emptied(events: deque[Event]) -> Iterator[Event]:
    while events:
        yield events.popleft()


def _binding(request: Request, prepared: Prepared) -> dict[str, Any]:
    facts = asdict(request)
    del facts["path"], facts["state"], facts["outside"]
    facts |= prepared.rules.visitors.facts() | {"variants": told(prepared.rules.variants)}
    facts["plan"] = (prepared.rules.plan or default_plan(prepared.task)).digest
    facts["triggers"] = msgspec.to_builtins(prepared.triggers) if prepared.triggers else None
    facts["prior"] = digest_of(read_prior(request.prior)[0]) if request.prior else None
    facts["challengers"] = request.challengers and sorted(request.challengers)
    facts |= {"task": prepared.task, "file_sha256": file_digest(request.path)}
    facts["ignore"], facts["learners"] = sorted(request.ignore), request.learners and sorted(request.learners)
    return facts


def replay_file(request: Request, *, prepared: Prepared | None = None, progress: Shown | None = None) -> dict[str, Any]:
    """Replay a file and return its result, the JSON of ``acclimate replay``.

    Args:
        request: what to replay.
        prepared: from ``prepare``, if the caller has called it already.
        progress: called after every chunk.

    Raises:
        UsageError, SourceError, StateError: see ``prepare`` and ``Store``.
    """
    started, cpu = time.perf_counter(), time.process_time()
    prepared = prepared or prepare(request)
    with closing(prepared.source):
        replay, clock = _run(request, prepared, progress)
    if not replay.rows:
        first = prepared.rejects.first[0] if prepared.rejects.first else {"reason": "", "remedy": ""}
        message = f"no row can be used: {first['reason']}"
        raise SourceError(message, field="file", value=request.path, remedy=first["remedy"])
    result = replay.result()
    clock.wall_s, clock.cpu_s = time.perf_counter() - started, time.process_time() - cpu
    return _assemble(request, prepared, result, clock)


def _run(request: Request, prepared: Prepared, progress: Shown | None) -> tuple[Replay, "_Clock"]:
    """Replay the rows that the state, if there is one, has not done yet."""
    options = Options(
        task=prepared.task,
        delay=request.delay,
        micro_batch=request.micro_batch,
        inner=request.inner,
        seed=request.seed,
        learners=request.learners,
        rules=prepared.rules,
        triggers=prepared.triggers,
    )
    replay = Replay(prepared.inputs, options)
    with closing(replay.arena):
        if request.prior:
            take(*read_prior(request.prior), prepared.inputs, replay.arena)
        if request.state is None:
            return replay, _drive(prepared, replay, _Keeper(replay, None, 0), 0, progress)
        from acclimate_device.store import Store

        with closing(Store(request.state)) as store:
            last_row, lines = _resume(store, replay, _binding(request, prepared))
            return replay, _drive(prepared, replay, _Keeper(replay, store, lines), last_row, progress)


@dataclass(slots=True)
class _Clock:
    rows: int = 0
    learning_s: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0


def _resume(store: "Store", replay: Replay, binding: dict[str, Any]) -> tuple[int, int]:
    """Tie the state to this run or take it back; return the last row it has done, and the lines of its lineage."""
    store.bind(binding)
    saved = store.load()
    if saved is None:
        return 0, 0
    tensors, documents = saved
    replay.restore(tensors, documents)
    return int(documents["last_row"]), int(documents.get("lines", store.lines()))


def _drive(prepared: Prepared, replay: Replay, keeper: "_Keeper", last_row: int, progress: Shown | None) -> "_Clock":
    """Feed all rows after ``last_row``, committing every micro-batch and at the end."""
    clock = _Clock()
    rows = (row for row in checked(prepared) if row.row > last_row)
    dirty = False
    while chunk := list(islice(rows, replay.chunk_rows)):
        begun = time.perf_counter()
        due = replay.feed(chunk)
        clock.learning_s += time.perf_counter() - begun
        clock.rows += len(chunk)
        last_row = chunk[-1].row
        dirty = not due
        if due:
            keeper.commit(last_row)
        if progress:
            progress(replay)
    if dirty:
        keeper.commit(last_row)
    return clock


class _Keeper:
    """Makes commits durable, with their lineage; without a store it only tells the replay."""

    def __init__(self, replay: Replay, store: "Store | None", lines: int) -> None:
        self._replay, self._store = replay, store
        self._lines = lines
        self._recorder = Recorder(store.lineage(lines), replay.learned, replay.options.seed) if store else None
        if self._recorder:
            replay.arena.stands(self._recorder.newest, self._recorder.graph)

    def commit(self, last_row: int) -> None:
        replay = self._replay
        events = replay.committed()
        if self._store is None or self._recorder is None:
            return
        arena, inputs = replay.arena, replay.inputs
        lines = self._recorder.lines(arena, inputs, events, learned=replay.learned, time_s=float(last_row))
        tensors, documents = replay.checkpoint()
        before, self._lines = self._lines, self._lines + len(lines)
        self._store.commit(tensors, {**documents, "last_row": last_row, "lines": self._lines}, lines, after=before)


def _peak_rss_mib() -> float:
    """Return the most memory this process has held, in MiB; getrusage would count what its parent held before exec."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _assemble(request: Request, prepared: Prepared, result: dict[str, Any], clock: _Clock) -> dict[str, Any]:
    head = {
        "format": RESULT_FORMAT,
        "file": Path(request.path).name,
        "label": request.label,
        "rows_read": prepared.source.rows_read,
        "rows_rejected": prepared.rejects.count,
        "rejects": prepared.rejects.document()["first"],
        "rejects_by_reason": prepared.rejects.document()["by_reason"],
        "warnings": prepared.warnings,
    }
    cost = {
        "throughput_events_per_s": clock.rows / clock.learning_s if clock.learning_s else None,
        "wall_s": clock.wall_s,
        "cpu_s": clock.cpu_s,
        "peak_rss_mib": _peak_rss_mib(),
    }
    options = {"key": request.key, "ignore": list(request.ignore), "rows": request.rows}
    return {**head, **result, "options": {**result["options"], **options}, **cost}
