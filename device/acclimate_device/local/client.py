"""A small client for programs in Python; the standard library is all it needs, so this file may be copied alone.

Example:
    >>> with Client("/run/acclimate/agent.sock") as agent:  # doctest: +SKIP
    ...     answer = agent.predict({"load": 0.7, "host": "a"})
    ...     agent.feedback(answer["event"], "busy")
"""

import json
import os
import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self


class LocalError(Exception):
    """The agent refused a request.

    Attributes:
        kind: of the error, such as ``input`` or ``unknown-prediction``.
        field: of the request or the event, may be empty, as the next two.
        value: what was found there, shortened.
        remedy: what to do.
        retry: whether the same request may be answered later.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        """Take an error as it came."""
        self.kind, self.message = str(told["kind"]), str(told["message"])
        self.field, self.value, self.remedy = (str(told.get(name, "")) for name in ("field", "value", "remedy"))
        self.retry = bool(told.get("retry", False))
        where = " = ".join(part for part in (self.field, self.value) if part)
        super().__init__(self.message + (f" [{where}]" if where else "") + (f"; {self.remedy}" if self.remedy else ""))


class Client:
    """One connection to an agent; for any thread, one request at a time.

    After a ``ConnectionError`` or ``TimeoutError`` the connection is closed: make a new client. A label whose answer
    did not come may be sent again: the agent learns it once, and refuses a second one as ``duplicate-label``.
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout_s: float = 30.0) -> None:
        """Connect.

        Args:
            path: of the socket.
            timeout_s: for the answer to one request.

        Raises:
            OSError: nobody answers there, or you may not ask.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout_s)
            self._socket.connect(os.fspath(path))
        except BaseException:
            self._socket.close()
            raise
        self._file = self._socket.makefile("rb")
        self._lock = threading.Lock()
        self._asked = 0

    def predict(
        self, features: Mapping[str, object], *, event: str | None = None, time_s: float | None = None
    ) -> dict[str, Any]:
        """Answer one event.

        Args:
            features: name to number, text or None.
            event: id by which its label will come; None lets the agent make one.
            time_s: event time, seconds since 1970; None for now.

        Returns:
            ``event``, ``version``, and ``label`` with ``probabilities``, or ``value``.

        Raises:
            LocalError: the agent refused.
            OSError: the connection is lost; ConnectionError or TimeoutError.
        """
        return self.ask("predict", features=dict(features), event=event, time_s=time_s)

    def predict_many(self, rows: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
        """Answer several events; an answer may hold ``error`` instead. Raises as ``predict``."""
        answers: list[dict[str, Any]] = self._many("predict_many", "rows", [dict(row) for row in rows])["answers"]
        return answers

    def feedback(
        self, event: str, label: str | float, *, weight: float = 1.0, source: str = "", time_s: float | None = None
    ) -> None:
        """Give the label of an event; returns when the agent has accepted it. Raises as ``predict``.

        Args:
            event: from ``predict``.
            label: class or value.
            weight: importance.
            source: who gives the label.
            time_s: when it became known, seconds since 1970; None for now.
        """
        self.ask("feedback", event=event, label=label, weight=weight, source=source, time_s=time_s)

    def feedback_many(self, labels: Sequence[Mapping[str, object]]) -> list[dict[str, Any] | None]:
        """Give several labels (the arguments of ``feedback``, by name); return an error or None for each."""
        found: list[dict[str, Any] | None] | None
        found = self._many("feedback_many", "labels", [dict(one) for one in labels]).get("errors")
        return found or [None] * len(labels)

    def status(self) -> dict[str, Any]:
        """Return what the agent has done and holds. Raises as ``predict``."""
        found: dict[str, Any] = self.ask("status")["status"]
        return found

    def ask(self, op: str, **fields: object) -> dict[str, Any]:
        """Send one request and return its answer. Raises as ``predict``."""
        found = self._exchange({"op": op, **{name: value for name, value in fields.items() if value is not None}})
        if not found["ok"]:
            raise LocalError(found["error"])
        return found

    def _many(self, op: str, name: str, items: list[dict[str, object]]) -> dict[str, Any]:
        """Ask for several at once: what failed is told item by item."""
        found = self._exchange({"op": op, name: items})
        if "error" in found:
            raise LocalError(found["error"])
        return found

    def _exchange(self, request: dict[str, object]) -> dict[str, Any]:
        with self._lock:
            self._asked += 1
            try:
                self._socket.sendall(json.dumps({"id": self._asked, **request}).encode() + b"\n")
            except (BrokenPipeError, ConnectionResetError):
                pass  # turned away; it may have said why
            except BaseException:
                self.close()
                raise
            return self._answer(self._asked)

    def _answer(self, asked: int) -> dict[str, Any]:
        try:
            return _checked(self._file.readline(), asked)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()


def _checked(line: bytes, asked: int) -> dict[str, Any]:
    """Return the answer in a line; what was said to the whole connection, or to nobody, is an error."""
    if not line.endswith(b"\n"):
        raise ConnectionResetError("the agent has closed the connection")
    found: dict[str, Any] = json.loads(line)
    if found["id"] is None and not found["ok"]:
        raise LocalError(found["error"])  # the connection is closed after it
    if found["id"] != asked:
        raise ConnectionAbortedError("this is the answer to another request")
    return found
