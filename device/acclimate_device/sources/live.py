"""Rows as they come: JSON objects, one a line, from a pipe; nothing is read ahead, so each is answered at once.

Any program that prints a line for each reading of a sensor is a source.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

from acclimate_device.schema import parse_number
from acclimate_device.sources.event import Event
from acclimate_device.sources.jsonl import Scalar, parsed_line
from acclimate_device.sources.rejects import Rejects
from acclimate_device.sources.text import lines
from acclimate_shared.errors import InputError


class LiveSource:
    """Rows of a stream of JSON lines."""

    def __init__(
        self,
        file: BinaryIO,
        *,
        rejects: Rejects,
        label: str | None = None,
        key: str | None = None,
        time_column: str | None = None,
        ignore: tuple[str, ...] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        """Read from ``file``.

        Args:
            file: of lines.
            rejects: counts rows that cannot be used.
            label: field with the label, where a row has one.
            key: field that groups rows.
            time_column: field with the event time, seconds since 1970; None takes the time of arrival.
            ignore: fields that are no features.
            now: seconds since 1970.
        """
        self._file, self.rejects, self._now = file, rejects, now
        self._label, self._key, self._time = label, key, time_column
        self._ignore = {*ignore, *([time_column] if time_column else [])} - {key}
        self.rows_read = 0

    def events(self) -> Iterator[Event]:
        """Yield the rows that can be used, until the stream ends; the others are counted."""
        for line in lines(self._file):
            if line == "":
                continue
            self.rows_read += 1
            row = parsed_line(line)
            try:
                if isinstance(row, InputError):
                    raise row
                yield self._event(row)
            except InputError as exc:
                exc.row = self.rows_read
                self.rejects.add(exc)

    def _event(self, row: dict[str, Scalar]) -> Event:
        at_s = self._now() if self._time is None else parse_number(row.get(self._time), field=self._time)
        if math.isnan(at_s):
            raise InputError("no event time", field=self._time or "", remedy="give seconds since 1970")
        label = row.pop(self._label, None) if self._label else None
        key = row.get(self._key) if self._key else None
        values = {name: value for name, value in row.items() if name not in self._ignore}
        return Event(self.rows_read, values, label, "" if key is None else str(key), at_s)
