"""Rows as they come: JSON objects, one a line, from a pipe; nothing is read ahead, so each is answered at once.

Any program that prints a line for each reading of a sensor is a source. (One that publishes readings: ``topics``.)
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from acclimate_device.schema import parse_number
from acclimate_device.sources.event import Event
from acclimate_device.sources.jsonl import Scalar, parsed_line
from acclimate_device.sources.rejects import Rejects
from acclimate_device.sources.text import lines
from acclimate_shared.errors import InputError


class Readings:
    """Makes events of JSON objects as they come; what cannot be used is counted.

    Attributes:
        rejects: what could not be used.
        rows_read: rows met so far, those included.
    """

    def __init__(
        self,
        *,
        rejects: Rejects,
        label: str | None = None,
        key: str | None = None,
        time_column: str | None = None,
        ignore: tuple[str, ...] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        """Start at row 0.

        Args:
            rejects: counts rows that cannot be used.
            label: field with the label, where a row has one.
            key: field that groups rows.
            time_column: field with the event time, seconds since 1970; None takes the time of arrival.
            ignore: fields that are no features.
            now: seconds since 1970.
        """
        self.rejects, self._now = rejects, now
        self._label, self._key, self._time = label, key, time_column
        self._ignore = {*ignore, *([time_column] if time_column else [])} - {key}
        self.rows_read = 0

    def event(self, line: str | InputError, also: Mapping[str, Scalar] | None = None) -> Event | None:
        """Return the event of a line, None if it cannot be used.

        Args:
            line: JSON, or why there is none.
            also: fields that are known beside it.
        """
        self.rows_read += 1
        row = parsed_line(line)
        try:
            if isinstance(row, InputError):
                raise row
            return self._made({**row, **(also or {})})
        except InputError as exc:
            exc.row = self.rows_read
            self.rejects.add(exc)
            return None

    def _made(self, row: dict[str, Scalar]) -> Event:
        at_s = self._now() if self._time is None else parse_number(row.get(self._time), field=self._time)
        if math.isnan(at_s):
            raise InputError("no event time", field=self._time or "", remedy="give seconds since 1970")
        label = row.pop(self._label, None) if self._label else None
        key = row.get(self._key) if self._key else None
        values = {name: value for name, value in row.items() if name not in self._ignore}
        return Event(self.rows_read, values, label, "" if key is None else str(key), at_s)


class LiveSource:
    """Readings of a stream of JSON lines."""

    def __init__(self, file: BinaryIO, readings: Readings) -> None:
        """Read from ``file``.

        Args:
            file: of lines.
            readings: makes events of them.
        """
        self._file, self._readings = file, readings

    def events(self) -> Iterator[Event]:
        """Yield the rows that can be used, until the stream ends; the others are counted."""
        for line in lines(self._file):
            event = None if line == "" else self._readings.event(line)
            if event is not None:
                yield event
