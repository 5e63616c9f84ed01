"""Start the verifying process, answer its questions, and return what it found.

See ``verify`` for what the two say to each other. The process is given a time limit: a source that trickles can hold up
one step, never the agent.
"""

import importlib.util
import os
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from acclimate_device.sync.source import MetadataSource
from acclimate_device.sync.verify import LENGTH_BYTES, NO_ANSWER, NONE, Failure, Success, Want
from acclimate_shared import errors, release
from acclimate_shared.constraints import ConstraintError
from acclimate_shared.errors import AcclimateError, LinkError, UsageError
from acclimate_shared.release import Listed, TrustError

TIME_LIMIT_S = 120.0
MAX_LINE_BYTES = 1 << 20
_ERRORS: dict[str, type[AcclimateError]] = {
    found.__name__: found
    for module in (errors, release)
    for found in vars(module).values()
    if isinstance(found, type) and issubclass(found, AcclimateError)
} | {"ConstraintError": ConstraintError}


def verify(
    source: MetadataSource, folder: Path, root: Path, digest: str, rtc: datetime, *, time_limit_s: float = TIME_LIMIT_S
) -> Listed:
    """Verify signed metadata in a process of its own; see ``trust.verify_release``.

    Args:
        source: Of metadata, not trusted.
        folder: Where trusted metadata are kept.
        root: File of the root that the device was given when it was set up.
        digest: Of the bundle that is wanted, 64 hex digits.
        rtc: Time of the hardware clock.
        time_limit_s: After which the process is stopped.

    Returns:
        What is signed about the bundle.

    Raises:
        UsageError: If python-tuf is not installed, or the root is not there.
        TrustError: Or ``ExpiredError``, ``UnlistedError``: nothing may be taken.
        LinkError: If the source does not answer, or not in time.
        StateError: If the folder cannot be used.
    """
    if importlib.util.find_spec("tuf") is None:
        remedy = "pip install 'acclimate[device]'"
        raise UsageError("updates need python-tuf", field="tuf", remedy=remedy)
    if not root.is_file():
        raise UsageError("no root of trust", field="root", value=str(root), remedy="give the root of your releases")
    words = [sys.executable, "-m", "acclimate_device.sync.verify", str(folder), str(root), digest]
    words.append(repr(rtc.timestamp()))
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment()) as process:  # noqa: S603 - our own interpreter and module
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(time_limit_s, stop)
        timer.start()
        try:
            final = _converse(process, source)
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
    if final is None:
        if late.is_set():
            raise LinkError("metadata came too slowly", field="time_limit_s", value=time_limit_s, remedy="try later")
        raise TrustError("verification ended without a word", field="exit code", value=process.returncode)
    return _outcome(final)


def _environment() -> dict[str, str]:
    """Return our own environment: where this process finds its modules, the other one must."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _converse(process: subprocess.Popen[bytes], source: MetadataSource) -> bytes | None:
    """Answer questions until the last line; None if the process ends without one."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the pipes are missing")
    while line := process.stdout.readline(MAX_LINE_BYTES):
        if not line.startswith(b'{"want"'):
            return line
        question = msgspec.json.decode(line, type=Want)
        try:
            _answer(process.stdin, _asked(source, question))
        except BrokenPipeError:
            return None
    return None


def _asked(source: MetadataSource, question: Want) -> bytes | int:
    try:
        data = source.fetch(question.want, question.max_bytes)
    except LinkError:
        return NO_ANSWER
    if data is None:
        return NONE
    if len(data) > question.max_bytes:
        raise TrustError("a metadata file is larger than it may be", field=question.want, value=len(data))
    return data


def _answer(pipe: IO[bytes], data: bytes | int) -> None:
    length = data if isinstance(data, int) else len(data)
    pipe.write(length.to_bytes(LENGTH_BYTES, "little", signed=True))
    if isinstance(data, bytes):
        pipe.write(data)
    pipe.flush()


def _outcome(line: bytes) -> Listed:
    if line.startswith(b'{"listed"'):
        listed = msgspec.json.decode(line, type=Success).listed
        release.check(listed)
        return listed
    found = msgspec.json.decode(line, type=Failure)
    kind = _ERRORS.get(found.error, TrustError)
    error = kind(found.message, field=found.field, remedy=found.remedy)
    error.value = found.value
    raise error
