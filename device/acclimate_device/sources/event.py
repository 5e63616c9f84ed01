"""What a source yields: one row that could be read."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One observation.

    Attributes:
        row: 1 for the first data row; rows that could not be used count too.
        values: column name to text, number or None; all columns except the label.
        label: as it was written, None if absent.
        key: value of the key column, "" without one.
        time_s: event time in seconds since 1970, None if the source does not say.
    """

    row: int
    values: Mapping[str, object]
    label: object
    key: str
    time_s: float | None = None
