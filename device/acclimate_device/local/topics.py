"""The topics of an agent at a broker on the same device; see docs/local-protocol.md.

    PREFIX/predict/CLIENT       a request; likewise predict_many, feedback, feedback_many, status
    PREFIX/answer/CLIENT        its answer, for whoever listens under that name
    PREFIX/predictions/TOPIC    what a run predicts for each reading that came on TOPIC
    PREFIX/online               true or false, retained

The operation stands in the topic, so that a broker can allow a program to ask and not to teach; and so does the
client, so that it can keep programs from reading each other's answers.

Example:
    >>> asked("acclimate", "acclimate/predict/pump")
    ('predict', 'pump')
"""

from collections.abc import Sequence

from acclimate_device.local.messages import OPS
from acclimate_shared.errors import UsageError

PREFIX = "acclimate"
MOST_BYTES = 512  # of a prefix or a filter
_REMEDY = "use words of letters and digits, with / between them"


def requests(prefix: str) -> list[str]:
    """Return the filters of all requests."""
    return [f"{prefix}/{op}/+" for op in OPS]


def asked(prefix: str, topic: str) -> tuple[str, str] | None:
    """Return operation and client of a request's topic, None if it is none."""
    op, _, client = topic.removeprefix(f"{prefix}/").partition("/")
    if topic != f"{prefix}/{op}/{client}" or op not in OPS or not client or "/" in client:
        return None
    return op, client


def answer(prefix: str, client: str) -> str:
    """Return where a client hears its answers."""
    return f"{prefix}/answer/{client}"


def predictions(prefix: str, topic: str) -> str:
    """Return where predictions for the readings of a topic are told."""
    return f"{prefix}/predictions/{topic}"


def online(prefix: str) -> str:
    """Return where it is told whether the agent is there."""
    return f"{prefix}/online"


def check_prefix(text: str) -> str:
    """Return a prefix that can be used.

    Raises:
        UsageError: it is empty, too long, or holds wildcards or what only the broker may say.
    """
    if any(sign in text for sign in "+#\0") or text.startswith(("$", "/")) or text.endswith("/") or not _fits(text):
        raise UsageError("no prefix of topics", field="prefix", value=text, remedy=_REMEDY)
    return text


def check_filters(filters: Sequence[str], prefix: str) -> tuple[str, ...]:
    """Return filters of topics that can be used.

    Args:
        filters: in which ``+`` stands for one word, and ``#`` at the end for any number of them.
        prefix: of the agent's own topics, which are no readings.

    Raises:
        UsageError: there are none, one is malformed (MQTT 3.1.1, section 4.7), or it takes in the agent's own topics.
    """
    if not filters:
        remedy = "name the topics of the readings: --topics sensors/+/reading"
        raise UsageError("which topics?", field="topics", remedy=remedy)
    for text in filters:
        words = text.split("/")
        wild = any(("+" in word and word != "+") or ("#" in word and word != "#") for word in words)
        if wild or "#" in words[:-1] or "\0" in text or text.startswith("$") or not _fits(text):
            remedy = "use + for one word and # for all the rest, each alone between two /"
            raise UsageError("no filter of topics", field="topics", value=text, remedy=remedy)
        if _meets(words, [*prefix.split("/"), "predictions"]):
            remedy = "name other topics, or another --broker-prefix"
            raise UsageError("it takes in the agent's own topics", field="topics", value=text, remedy=remedy)
    return tuple(filters)


def _meets(words: Sequence[str], place: Sequence[str]) -> bool:
    """Return whether a filter takes in topics below a place."""
    for word, there in zip(words, place, strict=False):
        if word == "#":
            return True
        if word not in {"+", there}:
            return False
    return len(words) > len(place)


def _fits(text: str) -> bool:
    return 0 < len(text.encode(errors="replace")) <= MOST_BYTES
