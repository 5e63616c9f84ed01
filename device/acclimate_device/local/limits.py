"""Every limit of the local socket, with its unit."""

from dataclasses import dataclass

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
