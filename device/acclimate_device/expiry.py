"""What becomes of predictions whose window has ended without a label."""

from acclimate_device.inputs import Inputs
from acclimate_device.join import Labelled, PendingLog

Expired = list[tuple[Labelled, str | float]]


def expired(log: PendingLog, inputs: Inputs, sequence: int) -> Expired:
    """Take the predictions that have expired out of the log; return them with the negative label, if there is one.

    Args:
        log: of the model.
        inputs: of the model.
        sequence: of the next prediction at that moment, from which the delays follow.

    Raises:
        InputError: the negative label cannot be one of this task.
    """
    gone = log.expired()
    if log.window.negative is None:
        return []
    label = inputs.label(log.window.negative)
    target, found = inputs.index(label), []
    for logged in gone:
        delay = max(0, sequence - logged.sequence - 1)
        found.append((Labelled(logged, target, 1.0, delay, "", log.newest_s), label))
    return found
