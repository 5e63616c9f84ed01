"""Every limit of the local socket and the local topics, with its unit."""

from dataclasses import dataclass

from acclimate_device.sync.limits import MIB, LinkLimits

MOST_BATCH = 512  # rows or labels in one request
MOST_TEXT = 65_536  # characters of a label, a source or an event's id that are looked at at all
PATH_BYTES = 107  # of a socket's path, as Linux has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may ask of the server, and how long the server waits for a client.

    Attributes:
        connections: at the same time; one more is told to come again later, and closed.
        line_bytes: of one request, its newline included.
        read_bytes: taken from a connection at a time; with ``line_bytes`` all that is held for a client.
        answers: to requests that were sent together, given back in one write at most.
        patience_s: for the rest of a line that has begun, or for a client to take an answer; then it is cut off.
        drain_s: at the end, for requests at hand to be answered.
        backlog: connections that may wait to be accepted.
        writers: labels of one batch that share a write to the disk.
    """

    connections: int = 64
    line_bytes: int = 1_048_576
    read_bytes: int = 65_536
    answers: int = 16
    patience_s: float = 10.0
    drain_s: float = 5.0
    backlog: int = 128
    writers: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLimits:
    """What waits between a broker on this device and the agent.

    Attributes:
        workers: threads that answer; the requests of one client stay with one of them, and so in order.
        waiting: requests that may wait for each of them; one more is refused, to be asked again later.
        waiting_bytes: likewise, of all that wait.
        pending: answers and predictions that the broker has not acknowledged; one more is dropped and counted.
        drain_s: at the end, for requests at hand to be answered.
        report_s: between two warnings of what was lost.
    """

    workers: int = 4
    waiting: int = 256
    waiting_bytes: int = 8 * MIB
    pending: int = 4096
    drain_s: float = 5.0
    report_s: float = 60.0


BROKER_LINK = LinkLimits(
    keepalive_s=30, connect_s=10.0, answer_s=15.0, longest_pause_s=15.0, waiting_bytes=8 * MIB, message_bytes=MIB
)
