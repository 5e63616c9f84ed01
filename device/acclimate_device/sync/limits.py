"""Every limit of the link between a device and its hub, with its unit."""

from dataclasses import dataclass

DAY_S = 86_400.0
MIB = 1 << 20

RENEW_AGAIN_S = DAY_S  # between two requests for the same certificate
ENROL_S = 60.0  # how long an enrolment waits for its answer
ENROL_AGAIN_S = 5.0  # between two requests of one enrolment
FETCH_AGAIN_S = 30.0  # until a base that did not come is asked for again
FOLLOW_S = 2.0  # between two looks at a rollout
NEXT_ROOT_S = 3.0  # how long the root after the newest known one is waited for; mostly there is none
METADATA_S = 20.0  # likewise any other signed file: these are there, perhaps at the end of a slow link
CHUNKS_WAITING = 64  # chunks that may wait to be stored: twice the largest window


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLimits:
    """Of the connection; seconds, messages and bytes.

    Attributes:
        keepalive_s: between two signs of life when nothing else is said; a broker may ask for 600 at most.
        connect_s: for name, TCP, TLS and the broker's word together.
        answer_s: for the acknowledgement of a message by the broker.
        beat_s: between two turns of the thread that runs the connection.
        turn_s: how long such a turn waits for the network.
        leave_s: at the end, for what was sent to be acknowledged.
        pause_s: bound of the first pause between two attempts; it doubles up to ``longest_pause_s``.
        waiting: messages that may wait to be taken from the link; more are dropped and counted.
        waiting_bytes: likewise, of all of them together.
        message_bytes: of one message; of a longer one this and one byte more are kept, so that it is seen to be longer.
        packet_bytes: of one packet; the connection ends at the start of a longer one, before it is in memory.
    """

    keepalive_s: int = 600
    connect_s: float = 30.0
    answer_s: float = 60.0
    beat_s: float = 20.0
    turn_s: float = 5.0
    leave_s: float = 5.0
    pause_s: float = 1.0
    longest_pause_s: float = 300.0
    waiting: int = 1024
    waiting_bytes: int = 64 * MIB
    message_bytes: int = 4 * MIB
    packet_bytes: int = 16 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxLimits:
    """Of what waits for the hub.

    Attributes:
        window: messages under way at once, the oldest ones.
        most_bytes: of all that waits; beyond, metrics are thinned until they fill ``kept_share`` of it.
        pass_rows: metrics thinned in one transaction.
        again_s: until a message is sent again; it doubles up to ``longest_again_s`` while the hub is silent.
    """

    window: int = 64
    most_bytes: int = 4 * MIB
    kept_share: float = 0.75
    pass_rows: int = 256
    again_s: float = 30.0
    longest_again_s: float = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkLimits:
    """Of what is said.

    Attributes:
        bucket_s: width of a bucket of metrics, as fine as the hub keeps them.
        idle_s: of one in which nothing happened.
        state_s: between two states that differ in the version alone.
        turn_s: longest wait between two turns of the loop.
    """

    bucket_s: float = 300.0
    idle_s: float = 3 * 3600.0
    state_s: float = 3600.0
    turn_s: float = 5.0
