"""An agent as a service: the loop runs under a watchdog, and its log says how it fares, never what it saw.

Where a service manager started the process (``NOTIFY_SOCKET``), ``attend`` takes over the loop of ``acclimate run``.
Nothing goes to standard output. The log is one JSON object a line on standard error, with the priority in front that
the journal understands (``sd-daemon(3)``). Only the figures of STATUS are written, and of an error its kind, its
place and what to do, not the value that caused it: no feature and no label gets into a log.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from acclimate_device.limits_of_host import LEAST_BYTES, Limits, read_limits
from acclimate_device.notify import MICRO, Notifier, Pulse, watchdog_s
from acclimate_device.worker import stuck_s
from acclimate_shared.errors import AcclimateError, StateMismatchError, UsageError

REPORT_S = 300.0  # seconds between two reports
ROOM = 4  # periods of the source that must fit into the watchdog's time
FULL = 0.9  # of the memory limit, above which a report is a warning
STATUS = ("version", "policy", "champion", "predictions", "learned", "waiting", "forgotten")
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_OWN = "acclimate"

logger = logging.getLogger(__name__)


class Attended(Protocol):
    """What has a status: an agent."""

    def status(self) -> Mapping[str, Any]:
        """Return what it has done and holds."""
        ...


class JournalFormatter(logging.Formatter):
    """One JSON object a record, its priority in front; a text that holds values is left out where it may."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record; of an exception its kind and place alone, not its message."""
        level = max((known for known in _PRIORITIES if known <= record.levelno), default=logging.DEBUG)
        args = tuple(_plain(arg) for arg in record.args) if isinstance(record.args, tuple) else ()
        text = str(record.msg) % args if args else record.getMessage()
        fields: dict[str, Any] = {"event": text, **getattr(record, "figures", {})}
        if not record.name.startswith(_OWN):
            fields["from"] = record.name
        if record.exc_info and record.exc_info[1] is not None:
            fields |= facts_of_error(record.exc_info[1])
        return f"<{_PRIORITIES[level]}>{json.dumps(fields, ensure_ascii=False, default=str)}"


def _plain(arg: object) -> object:
    """Return what may be said of an argument of a log record: of an error no value."""
    if isinstance(arg, AcclimateError):
        return "; ".join(part for part in (arg.message, arg.field, arg.remedy) if part)
    if isinstance(arg, OSError):
        return arg.strerror or type(arg).__name__
    return type(arg).__name__ if isinstance(arg, BaseException) else arg


def facts_of_error(error: BaseException) -> dict[str, Any]:
    """Return kind and place of an error, and for ours field and remedy; the value is never told."""
    facts: dict[str, Any] = {"error": type(error).__name__}
    if isinstance(error, AcclimateError):
        facts |= {"field": error.field, "remedy": error.remedy}
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None:
        facts["at"] = f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
    return facts


@contextmanager
def journal(stream: TextIO) -> Iterator[None]:
    """Write the log of this process to a stream as the journal wants it, until the end of the block."""
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    handler.setFormatter(JournalFormatter())
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def attend(
    agent: Attended,
    events: Iterable[object],
    *,
    period_s: float,
    notifier: Notifier | None = None,
    limits: Callable[[], Limits] = read_limits,
    clock: Callable[[], float] = time.monotonic,
    stream: TextIO | None = None,
) -> bool:
    """Handle all events as a service does, if a service manager asked for it.

    Args:
        agent: whose status is reported.
        events: the loop; one item is one handled event, and is thrown away.
        period_s: seconds between two events, so that a slow source does not look like a hang.
        notifier: of the service manager; None for the one of the environment.
        limits: reads what may be used.
        clock: monotonic seconds.
        stream: of the log; None for standard error.

    Returns:
        Whether there was a manager, and so the loop has been run.

    Raises:
        SystemExit: an error ended the loop; it has been logged without its value. 2 if a restart cannot help.
    """
    told = notifier or Notifier.from_environment()
    if not told.wanted:
        return False
    limit_s = watchdog_s()
    if limit_s is not None and limit_s < ROOM * period_s:
        limit_s = ROOM * period_s
        told.tell(f"WATCHDOG_USEC={round(limit_s * MICRO)}")
    pulse = Pulse(told.tell, watchdog_s=limit_s, clock=clock, stuck_s=stuck_s)
    with journal(stream or sys.stderr):
        _start(limits())
        told.tell("READY=1", "STATUS=learning")
        try:
            _run(agent, events, pulse, told, limits, clock)
        except Exception as error:
            logger.exception("ends with an error")  # its own text may hold a value, so it goes no further
            raise SystemExit(2 if isinstance(error, UsageError | StateMismatchError) else 1) from None
        finally:
            told.tell("STOPPING=1", "STATUS=learning what waits, then keeping it")
        _report(agent, limits(), told, "stops")
    return True


def _run(
    agent: Attended,
    events: Iterable[object],
    pulse: Pulse,
    told: Notifier,
    limits: Callable[[], Limits],
    clock: Callable[[], float],
) -> None:
    due = clock() + REPORT_S
    for _ in events:
        pulse.beat()
        if clock() >= due:
            due = clock() + REPORT_S
            _report(agent, limits(), told, "learns")


def _start(found: Limits) -> None:
    figures = {"memory_limit_mib": _mib(found.memory_bytes), "cpus": found.cpus}
    if found.memory_bytes is not None and found.memory_bytes < LEAST_BYTES:
        logger.warning("the memory limit is low", extra={"figures": {**figures, "least_mib": LEAST_BYTES >> 20}})
    else:
        logger.info("starts", extra={"figures": figures})


def _report(agent: Attended, found: Limits, told: Notifier, what: str) -> None:
    status = agent.status()
    figures = {name: status[name] for name in STATUS if name in status}
    figures |= {"memory_mib": _mib(found.used_bytes), "memory_limit_mib": _mib(found.memory_bytes)}
    full = found.memory_bytes is not None and found.used_bytes > FULL * found.memory_bytes
    logger.log(logging.WARNING if full else logging.INFO, what, extra={"figures": figures})
    told.tell(f"STATUS=version {figures.get('version')}, {figures.get('learned')} labels learned")


def _mib(size: int | None) -> int | None:
    return None if size is None else size >> 20
