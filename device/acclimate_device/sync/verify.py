"""The step that verifies, in a process of its own: ``python -m acclimate_device.sync.verify FOLDER ROOT DIGEST RTC``.

The agent's process stays small and never loads python-tuf; ``step.verify`` starts this one, answers its questions, and
gets one line at the end. The two speak over pipes:

    this process writes a line   {"want": "2.root.json", "max_bytes": 512000}
    the other answers            8 bytes little-endian: a length, -1 for "there is none", -2 for "no answer"; then bytes
    this process writes at last  {"listed": {...}} or {"error": "ExpiredError", "message": ..., "field": ..., ...}
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from acclimate_shared.errors import AcclimateError, LinkError
from acclimate_shared.release import Listed

LENGTH_BYTES = 8
NONE, NO_ANSWER = -1, -2


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """A question for a file."""

    want: str
    max_bytes: int


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """How verification ended, if not well."""

    error: str
    message: str
    field: str
    value: str
    remedy: str


class Success(msgspec.Struct, frozen=True, kw_only=True):
    """What was verified."""

    listed: Listed


class PipeSource:
    """Asks the process that started this one."""

    def __init__(self, answers: BinaryIO, questions: BinaryIO) -> None:
        """Read answers from one pipe, write questions to the other."""
        self._answers, self._questions = answers, questions

    def fetch(self, name: str, max_bytes: int) -> bytes | None:
        """See ``source.MetadataSource``."""
        self._questions.write(msgspec.json.encode(Want(want=name, max_bytes=max_bytes)) + b"\n")
        self._questions.flush()
        length = int.from_bytes(self._exactly(LENGTH_BYTES), "little", signed=True)
        if length == NONE:
            return None
        if not 0 <= length <= max_bytes:
            raise LinkError("the source did not answer", field=name, remedy="try again later")
        return self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        data = self._answers.read(size)
        if len(data) != size:
            raise LinkError("the agent went away", field="pipe", remedy="try again later")
        return data


def main(arguments: list[str]) -> int:
    """Verify; the exit code is 0 if a final line was written."""
    from acclimate_device.sync.trust import verify_release

    folder, root, digest, rtc = arguments
    questions = sys.stdout.buffer
    source = PipeSource(sys.stdin.buffer, questions)
    final: Success | Failure
    try:
        now = datetime.fromtimestamp(float(rtc), UTC)
        final = Success(listed=verify_release(source, Path(folder), Path(root).read_bytes(), digest, now))
    except AcclimateError as error:
        kind, words = type(error).__name__, (error.message, error.field, error.value, error.remedy)
        final = Failure(error=kind, message=words[0], field=words[1], value=words[2], remedy=words[3])
    questions.write(msgspec.json.encode(final) + b"\n")
    questions.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
