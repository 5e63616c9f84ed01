"""From the line of a request to the line of its answer, through the words that every agent has.

Nothing here knows of sockets or topics. A label is answered when the agent has accepted it: with a state and its
journal, when it is durable. What is refused is told with field, value and remedy. Anything else that goes wrong is a
failure of the agent: the client is told so without details, and the service stops answering (``failure``).
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from acclimate_device.local import messages as msg
from acclimate_device.local.limits import Limits
from acclimate_device.local.recent import Recent
from acclimate_device.outputs import strict
from acclimate_device.river_words import Prediction
from acclimate_shared.errors import AcclimateError, LinkError

logger = logging.getLogger(__name__)

_FAILED = msg.Refusal(
    kind="internal", message="the agent has failed and is being stopped", remedy="see its log", retry=True
)


class Answering(Protocol):
    """What the service needs of an agent."""

    @property
    def task(self) -> str:
        """Classification or regression."""
        ...

    def predict(
        self, features: Mapping[str, object], *, event_id: str | None = None, time_s: float | None = None
    ) -> Prediction:
        """Answer one event."""
        ...

    def feedback(
        self, prediction_id: str, label: object, weight: float = 1.0, source: str = "", *, time_s: float | None = None
    ) -> None:
        """Join a label to its prediction; returns when it is accepted."""
        ...

    def status(self) -> dict[str, Any]:
        """Return what it has done and holds."""
        ...


class Service:
    """Answers requests; for any number of threads."""

    def __init__(
        self, agent: Answering, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Answer for an agent.

        Args:
            agent: that is asked.
            limits: None for the default.
            clock: seconds that never go back.
        """
        self._agent, self._limits = agent, limits or Limits()
        self._clock, self._since = clock, clock()
        self._recent = Recent(regression=agent.task == "regression")
        self._writers = ThreadPoolExecutor(self._limits.writers, "acclimate-labels")
        self._lock = threading.Lock()
        self._counts = {"requests": 0, "refused": 0}
        self.failure: BaseException | None = None
        self.facts: list[Callable[[], Mapping[str, Any]]] = []  # of what brings requests, for ``status``
        self.link: Callable[[], str] = lambda: "none, not enrolled"  # to the hub, likewise

    def answer(self, line: bytes, op: str | None = None) -> bytes:
        """Return the line that answers a line.

        Args:
            line: without its newline.
            op: the operation, where the line need not name it.
        """
        reply = self._reply(line, op)
        with self._lock:
            self._counts["requests"] += 1
            self._counts["refused"] += not reply.ok
        return msg.write(reply)

    def refuse(self, error: AcclimateError, line: bytes = b"") -> bytes:
        """Return the line that tells an error to a client that is not heard, or asked nothing in particular.

        Args:
            error: to be told.
            line: that is not answered, for the sake of its id.
        """
        with self._lock:
            self._counts["refused"] += 1
        return msg.write(msg.Reply(id=msg.id_of(line), ok=False, error=msg.refusal(error)))

    def _reply(self, line: bytes, op: str | None) -> msg.Reply:
        try:
            request = msg.parse(line, op)
        except AcclimateError as error:
            return msg.Reply(id=msg.id_of(line), ok=False, error=msg.refusal(error))
        if self.failure is not None:
            return msg.Reply(id=request.id, ok=False, error=_FAILED)
        try:
            return self._do(request)
        except AcclimateError as error:
            return msg.Reply(id=request.id, ok=False, error=msg.refusal(error))
        except Exception as error:  # noqa: BLE001 (whatever it is, this agent cannot be trusted any more)
            self._fail(error)
            return msg.Reply(id=request.id, ok=False, error=_FAILED)

    def _fail(self, error: BaseException) -> None:
        """Note a failure once; its text may hold data, so only its kind is logged."""
        if self.failure is None:
            self.failure = error
            logger.error("the agent has failed: %s", type(error).__name__)

    def _do(self, request: msg.AnyRequest) -> msg.Reply:
        match request:
            case msg.Predict():
                found = self._predict(request.features, request.event, request.time_s)
                return msg.Reply(
                    id=request.id, ok=True, event=found.event, label=found.label, value=found.value,
                    probabilities=found.probabilities, version=found.version,
                )  # fmt: skip
            case msg.Feedback():
                self._feedback(request.given())
                return msg.Reply(id=request.id, ok=True, event=request.event)
            case msg.PredictMany():
                answers = [self._predict_or_say(row) for row in request.rows]
                return msg.Reply(id=request.id, ok=all(one.error is None for one in answers), answers=answers)
            case msg.FeedbackMany():
                errors = list(self._writers.map(self._feedback_or_say, request.labels))
                failed = any(errors)
                return msg.Reply(id=request.id, ok=not failed, errors=errors if failed else None)
            case msg.Status():
                return msg.Reply(id=request.id, ok=True, status=self.status())

    def _predict(self, features: msg.Features, event: str | None = None, time_s: float | None = None) -> msg.Answer:
        found = self._agent.predict(features, event_id=event, time_s=time_s)
        self._recent.answered(found.id, found.label if found.value is None else found.value)
        shares = dict(found.probabilities) if found.value is None else None
        return msg.Answer(
            event=found.id, label=found.label, value=found.value, probabilities=shares, version=found.version
        )

    def _predict_or_say(self, features: msg.Features) -> msg.Answer:
        try:
            return self._predict(features)
        except AcclimateError as error:
            return msg.Answer(error=msg.refusal(error))

    def _feedback(self, given: msg.Given) -> None:
        self._agent.feedback(given.event, given.label, given.weight, given.source, time_s=given.time_s)
        self._recent.labelled(given.event, given.label)

    def _feedback_or_say(self, given: msg.Given) -> msg.Refusal | None:
        try:
            self._feedback(given)
        except AcclimateError as error:
            return msg.refusal(error)
        return None

    def status(self) -> dict[str, Any]:
        """Return the status of the agent, and of its service under ``local``."""
        with self._lock:
            counts = dict(self._counts)
        own = {"up_s": self._clock() - self._since, **counts, "recent": self._recent.told(), "link": self.link()}
        for facts in self.facts:
            own |= facts()
        found: dict[str, Any] = strict({**self._agent.status(), "local": own})
        return found

    def close(self) -> None:
        """Let the labels of batches at hand be finished."""
        self._writers.shutdown()


def stopping() -> LinkError:
    """Return what a client is told while the server stops."""
    return LinkError("the server is being stopped", field="server", remedy="connect again later")
