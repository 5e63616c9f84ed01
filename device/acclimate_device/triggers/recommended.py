"""The policy for a device that should not work for nothing: learn as labels come, back off where it brings nothing.

As long as learning brings something, every 32 labels are learned. Where it brings nothing the next firing waits, longer
each time, and only the newest labels are learned then; a loss that rises ends the waiting at once.
"""

from acclimate_device.triggers.config import AnyOf, BackOff, Drift, Policy, Volume

RECOMMENDED = Policy(
    trigger=AnyOf(of=[Volume(labelled=32), Drift(detector="adwin", on="loss", rises_only=True)]),
    back_off=BackOff(every_rows=512, patience=3, most_doublings=6),
    most_rows=1024,
)
