"""Which labels are learned, with which weight: standing up to wrong, flooding and malicious sources of labels.

See ``gate`` for the order of the checks, ``policy`` for what a person declares.
"""

from acclimate_device.admission.gate import Admission, Given
from acclimate_device.admission.policy import OFF, OWNER, UNNAMED, Policy, SourceRule, read_policy
from acclimate_device.admission.quarantine import Held, Quarantine

__all__ = [
    "OFF",
    "OWNER",
    "UNNAMED",
    "Admission",
    "Given",
    "Held",
    "Policy",
    "Quarantine",
    "SourceRule",
    "read_policy",
]
