"""Rollouts: a base model goes to the fleet in waves, each of which must earn the next by evidence.

`RolloutPlan` says what is fixed before; `machine` which changes of a `Rollout` are legal; `gate` what the devices'
measurements amount to; `Rollouts` binds them to a store by compare-and-set; `explain` says it in words. Time, store and
randomness come in as arguments; nothing here speaks MQTT, SQL or HTTP.
"""

from acclimate_hub.rollout.errors import ConflictError, TransitionError, UnknownRolloutError
from acclimate_hub.rollout.explain import Explanation, Item, explain
from acclimate_hub.rollout.gate import Gate, Outcomes, Verdict, VerdictKind
from acclimate_hub.rollout.memory import MemoryStore
from acclimate_hub.rollout.plan import Criterion, RolloutPlan, Wave
from acclimate_hub.rollout.records import DeviceRow, Phase, Rollout, Transition
from acclimate_hub.rollout.service import Rollouts
from acclimate_hub.rollout.store import Store

__all__ = [
    "ConflictError",
    "Criterion",
    "DeviceRow",
    "Explanation",
    "Gate",
    "Item",
    "MemoryStore",
    "Outcomes",
    "Phase",
    "Rollout",
    "RolloutPlan",
    "Rollouts",
    "Store",
    "Transition",
    "TransitionError",
    "UnknownRolloutError",
    "Verdict",
    "VerdictKind",
    "Wave",
    "explain",
]
