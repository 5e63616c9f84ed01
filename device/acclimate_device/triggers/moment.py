"""What a scheduler is told and what it answers: three values without behaviour."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is known after a row, a label, or whenever it is worth asking.

    Attributes:
        rows: Rows seen since the start of the stream.
        labelled: Labels that have arrived since the start.
        time_s: Event time in seconds, from any fixed origin; it may stand still, and going back counts as standing.
        local_hour: Hour of the day where the device is, in [0, 24), minutes as fraction; None if not known.
        loss: Loss of the label that arrived with this moment, or the mean of several; None if none did.
        drift: What drift detectors that watch ``drift`` get: a number, a row of features (NaN = missing) or None.
        cpu_s: CPU seconds that learning has used, metered by the caller; a smaller number than before is a new meter.
    """

    rows: int
    labelled: int
    time_s: float
    local_hour: float | None = None
    loss: float | None = None
    drift: float | tuple[float, ...] | None = None
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """It is time to learn.

    Attributes:
        trigger: What fired, such as ``time`` or ``any(drift, volume)``.
        cause: The measured numbers, plain JSON values; those of composed triggers by the name of the part.
        rows: Rows seen.
        time_s: Event time, seconds.
    """

    trigger: str
    cause: dict[str, Any]
    rows: int
    time_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """It would be time to learn, but something holds it back; the trigger stays due until it may fire.

    Attributes:
        trigger: What would have fired.
        reason: ``back_off``, ``cool_down``, ``quiet_hours`` or ``cpu``.
        detail: The measured numbers, plain JSON values.
    """

    trigger: str
    reason: str
    detail: dict[str, Any]
