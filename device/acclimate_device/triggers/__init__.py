"""When to learn, and when not to.

A ``Policy`` says by configuration alone which trigger starts learning (time, volume, performance, drift, and ``any`` or
``all`` of them) and what holds it back (cool-down, quiet hours, a budget of CPU time, a history of updates that brought
nothing). A ``Scheduler`` applies it to one ``Moment`` after another and returns a ``Firing``, with the numbers that
caused it, when it is time to learn. Nothing here reads a clock or a file: all that counts is in the moment.

Example:
    >>> policy = Policy.from_dict({"trigger": {"kind": "volume", "labelled": 100}, "cool_down_s": 60})
    >>> scheduler = Scheduler(policy)
    >>> for rows in range(1, 200):
    ...     firing = scheduler.update(Moment(rows=rows, labelled=rows, time_s=float(rows)))
    ...     if firing:
    ...         break
    >>> firing.trigger, firing.cause, firing.rows
    ('volume', {'new_labelled': 100, 'needed': 100}, 101)
"""

from acclimate_device.triggers.config import All, AnyOf, BackOff, Drift, Performance, Policy, Time, Trigger, Volume
from acclimate_device.triggers.moment import Firing, Held, Moment
from acclimate_device.triggers.recommended import RECOMMENDED
from acclimate_device.triggers.scheduler import Scheduler

__all__ = [
    "RECOMMENDED",
    "All",
    "AnyOf",
    "BackOff",
    "Drift",
    "Firing",
    "Held",
    "Moment",
    "Performance",
    "Policy",
    "Scheduler",
    "Time",
    "Trigger",
    "Volume",
]
