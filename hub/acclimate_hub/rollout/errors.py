"""The errors of rollouts, under the two roots of `acclimate_shared.errors`.

LinkError     ConflictError           retry: somebody else was quicker
RefusedError  TransitionError         the rollout is not where this is possible
              UnknownRolloutError     there is no such rollout
"""

from acclimate_shared.errors import LinkError, RefusedError


class ConflictError(LinkError):
    """Others kept changing the rollout at the same time; trying again may help."""


class TransitionError(RefusedError):
    """The rollout cannot do this where it stands, or this person may not."""


class UnknownRolloutError(RefusedError):
    """There is no rollout of this name."""
