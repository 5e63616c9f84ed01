"""Shadow answers: what the other candidates would have said, after the champion's answer was given."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from acclimate_device.logged import Logged, widened
from acclimate_device.roster import Roster


def complete(roster: Roster, waiting: Sequence[Logged], most: int) -> None:
    """Let everyone answer what only the champion has, each event with the states of its own moment.

    Args:
        roster: of the candidates.
        waiting: predictions that the champion has answered; each gets its memo and lets go of its moment.
        most: rows answered at once.
    """
    moments: dict[int, list[Logged]] = {}
    for logged in waiting:
        moments.setdefault(id(logged.moment), []).append(logged)
    for group in moments.values():
        for at in range(0, len(group), most):
            _complete(roster, group[at : at + most])


def _complete(roster: Roster, part: Sequence[Logged]) -> None:
    moment = part[0].moment
    if moment is None:
        raise RuntimeError("a prediction was completed twice")
    known = [logged.memo for logged in part if logged.memo is not None]
    members = np.stack(known) if len(known) == len(part) else None
    everyone = roster.complete(moment, np.stack([logged.x for logged in part]), members)
    for logged, memo in zip(part, everyone, strict=True):
        logged.memo, logged.occupants, logged.moment, logged.columns = memo, moment.occupants, None, roster.live


def memo_of(logged: Logged, classes: int) -> npt.NDArray[np.float64]:
    """Return the complete memo of a prediction with room for ``classes`` classes.

    Raises:
        RuntimeError: the others have not answered yet.
    """
    if logged.memo is None or logged.moment is not None:
        raise RuntimeError("a prediction was not completed")
    return widened(logged.memo, classes)
