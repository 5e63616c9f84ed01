"""What the hub tells the devices of a tenant unasked, and what it makes of what they say about rollouts.

Everything here follows from a state that is stored, so it may be done as often as wanted, by whoever owns the task: a
report that comes twice changes nothing, a document is retained again, a command to return is sent until the device
says that it has returned. Nothing is remembered that a restart would miss.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from acclimate_hub import limits
from acclimate_hub.ingest import Arrived
from acclimate_hub.outgoing import Outgoing, Sender
from acclimate_hub.releases.shelf import Shelf
from acclimate_hub.rollout import Phase, Rollout, Rollouts, UnknownRolloutError
from acclimate_hub.rollout.errors import ConflictError
from acclimate_hub.rollout.wire import heard
from acclimate_shared.errors import InputError, MessageError, MissingFileError
from acclimate_shared.messages import pieces
from acclimate_shared.messages.envelope import decode
from acclimate_shared.messages.topics import Kind, Topic, build
from acclimate_shared.rollout_reports import BlockReport

logger = logging.getLogger(__name__)

Cohorts = Callable[[Iterable[str]], dict[str, str]]  # of devices that may speak, by their names


class Conductor:
    """Conducts one tenant."""

    def __init__(
        self, tenant: str, rollouts: Rollouts, shelf: Shelf | None, cohorts: Cohorts, now: Callable[[], float]
    ) -> None:
        """Conduct.

        Args:
            tenant: whose.
            rollouts: of the tenant.
            shelf: of its releases; None serves none.
            cohorts: says which cohort devices are in; one that may not speak is left out.
            now: seconds since 1970.
        """
        self._tenant, self._rollouts, self._shelf, self._cohorts, self._now = tenant, rollouts, shelf, cohorts, now
        self._sender = Sender(now)
        self._lock = threading.Lock()
        self._said: dict[str, object] = {}  # by topic, on this connection
        self._returned_s: dict[str, float] = {}  # when a device was last told to return

    # -- hearing ------------------------------------------------------------------------------------------------

    def hear(self, group: Sequence[Arrived]) -> None:
        """Take what devices of a committed group say about rollouts, before it is acknowledged.

        Raises:
            LinkError: the database does not answer, or others keep changing a rollout: the group will come again.
        """
        mine = [one for one in group if one.tenant == self._tenant]
        cohorts = self._cohorts({one.device for one in mine})
        for one in mine:
            try:
                self._one(one, cohorts.get(one.device, ""))
            except (InputError, UnknownRolloutError) as exc:
                logger.warning("what %s says about a rollout is left out: %s", one.device, exc)

    def _one(self, one: Arrived, cohort: str) -> None:
        if one.kind is Kind.STATE:
            boot = int(one.envelope.boot[:8], 16)
            if rollout := self._rollouts.current().get(cohort):
                self._rollouts.presence(rollout.id, one.device, cohort, online=one.envelope.body.online, boot=boot)
            return
        report = heard(one.envelope)
        if isinstance(report, BlockReport):
            self._rollouts.measured(report)
        elif report is not None:
            self._rollouts.report(report, cohort)

    # -- saying -------------------------------------------------------------------------------------------------

    def connected(self) -> None:
        """Forget what was said: the connection is new, and so may be the broker."""
        with self._lock:
            self._said.clear()

    def due(self) -> list[Outgoing]:
        """Let time act on the rollouts; return what is to be sent now.

        Raises:
            LinkError: the database, or the place of the bundles, does not answer.
        """
        for rollout in self._rollouts.all():
            if rollout.phase is Phase.WAVE:
                try:
                    self._rollouts.tick(rollout.id)
                except ConflictError as exc:
                    logger.info("somebody else conducts %s: %s", rollout.id, exc)
        current = self._rollouts.current()
        with self._lock:
            return [*self._metadata(), *self._documents(current), *self._returns(current)]

    def _metadata(self) -> list[Outgoing]:
        """Return signed files that are new, the timestamp last: who reads it finds what it leads to."""
        files = self._shelf.served() if self._shelf else {}
        order = sorted(files, key=lambda name: (name == "timestamp.json", name))
        named = [(build(self._tenant, Kind.TUF, name=name), files[name]) for name in order]
        return [Outgoing(topic, data, retained=True) for topic, data in named if self._news(topic, data)]

    def _documents(self, current: Mapping[str, Rollout]) -> list[Outgoing]:
        """Return what each cohort shall run, where it has changed."""
        out = []
        for cohort, rollout in current.items():
            document = self._rollouts.desired(rollout.id, cohort)
            topic = build(self._tenant, Kind.DESIRED, cohort=cohort)
            if self._news(topic, document):
                packed = self._sender.pack(self._tenant, Kind.DESIRED, cohort, document, cohort=cohort)
                out.append(Outgoing(packed.topic, packed.payload, retained=True))
        return out

    def _news(self, topic: str, what: object) -> bool:
        known = self._said.get(topic) == what
        self._said[topic] = what
        return not known

    def _returns(self, current: Mapping[str, Rollout]) -> list[Outgoing]:
        """Return commands to go back, to each device again and again until it says that it has."""
        now_s, out = self._now(), []
        for rollout in {one.id: one for one in current.values()}.values():
            for device, command in self._rollouts.returns(rollout.id):
                if now_s - self._returned_s.get(device, -limits.RETURN_AGAIN_S) >= limits.RETURN_AGAIN_S:
                    self._returned_s[device] = now_s
                    out.append(self._sender.pack(self._tenant, Kind.COMMAND, device, command, device=device))
        return out

    # -- bundles ------------------------------------------------------------------------------------------------

    def wanted(self, topic: Topic, payload: bytes) -> list[Outgoing]:
        """Return the chunks that a device asks for; nothing for one that may not speak, or a bundle that is not here.

        Raises:
            MessageError: it is no such question.
            LinkError: the place of the bundles does not answer.
        """
        envelope, digest = decode(payload, Kind.WANT), topic.values["digest"]
        if self._shelf is None or envelope.sender not in self._cohorts([envelope.sender]):
            return []
        to = build(self._tenant, Kind.REPAIR, device=envelope.sender, digest=digest)
        try:
            chunks = [(index, self._shelf.chunk(digest, index)) for index in envelope.body.chunks]
        except MissingFileError as exc:
            raise MessageError("nobody has such a bundle", field="digest", value=digest) from exc
        return [Outgoing(to, pieces.packed(index, data)) for index, data in chunks if data]
