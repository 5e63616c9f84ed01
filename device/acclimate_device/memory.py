"""Memory that was freed goes back to the system: a checkpoint builds what it writes, and lets go of it at once.

glibc keeps freed memory for the process; on a small device others need it. Where the C library has no such call,
nothing happens.
"""

import ctypes
import functools
from collections.abc import Callable


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return found


def give_back() -> bool:
    """Return freed memory to the system, as far as it can be; say whether any was."""
    trim = _trim()
    return trim is not None and bool(trim(0))
