"""The errors of Acclimate: what a caller can do about each decides where it sits.

    AcclimateError
    ├── LinkError             retry: the other side may answer later
    └── RefusedError          refuse: the same input fails again
        ├── PackageError      MissingFileError ManifestError NewerFormatError ShapeError UnsupportedOpError
        │                     DigestError GraphError ExecutionError
        ├── InputError, SourceError      one bad row; the source as a whole
        ├── LabelError        UnknownPredictionError DuplicateLabelError LateLabelError
        ├── StateError        StateMismatchError CorruptStateError EvidenceVoidError
        ├── MessageError      NewerMessageError; what came over the wire is not what its topic may carry
        ├── AccessError       who asks may not, or not so often: RateError
        ├── MissingError, ConflictError  nothing of this name; it is there already or changed meanwhile
        └── UsageError        wrong options (a command line exits with 2); PlanError, a plan of a contest
``ValueError`` is a bug of the caller, ``RuntimeError`` a call in the wrong order.
"""

import reprlib


class AcclimateError(Exception):
    """Says what went wrong, in which field (and row, from 1), the shortened value and the remedy."""

    def __init__(
        self, message: str, *, field: str = "", value: object = None, remedy: str = "", row: int | None = None
    ) -> None:
        """Keep only a short text of ``value``: it may be a gigabyte long, and it is somebody's data."""
        super().__init__(message)
        self.message, self.field, self.remedy, self.row = message, field, remedy, row
        self.value = "" if value is None else reprlib.repr(value)

    def __str__(self) -> str:
        """Return ``row 7: message [field = value]; remedy`` without the parts that are not known."""
        row = "" if self.row is None else f"row {self.row}: "
        where = " = ".join(part for part in (self.field, self.value) if part)
        return row + self.message + (f" [{where}]" if where else "") + (f"; {self.remedy}" if self.remedy else "")


# fmt: off
class LinkError(AcclimateError):
    """The other side could not be reached or did not answer; trying again later may help."""
class RefusedError(AcclimateError):
    """The input itself is refused; trying again gives the same answer."""
class PackageError(RefusedError):
    """A learner package cannot be used."""
class MissingFileError(PackageError):
    """A file that the package needs is not there."""
class ManifestError(PackageError):
    """The manifest, or another file of the package, does not say what it must."""
class NewerFormatError(PackageError):
    """The package was written by a newer version of Acclimate."""
class ShapeError(PackageError):
    """A tensor has not the name, shape or dtype that the manifest declares."""
class UnsupportedOpError(PackageError):
    """A graph uses an operator outside the pure standard set."""
class DigestError(PackageError):
    """Content does not match its digest."""
class GraphError(PackageError):
    """A graph is not one that can be read or loaded."""
class ExecutionError(PackageError):
    """A graph was loaded but failed while it ran."""
class InputError(RefusedError):
    """One row of input is bad; it is counted, reported and never learned from."""
class SourceError(RefusedError):
    """A source of events cannot be read at all."""
class LabelError(RefusedError):
    """A label cannot be joined to a prediction."""
class UnknownPredictionError(LabelError):
    """The label names a prediction that was never made or has been forgotten."""
class LateLabelError(LabelError):
    """A label for a prediction whose window has ended."""
class DuplicateLabelError(LabelError):
    """The prediction already has a label."""
class StateError(RefusedError):
    """Kept state cannot be used."""
class StateMismatchError(StateError):
    """The state belongs to another stream, other options or another format."""
class CorruptStateError(StateError):
    """The state is damaged."""
class EvidenceVoidError(StateError):
    """Evidence was gathered under another plan, or for another champion or challenger."""
class MessageError(RefusedError):
    """A message, or the topic it came on, is not one of the closed set."""
class NewerMessageError(MessageError):
    """The message was written by another version of Acclimate."""
class AccessError(RefusedError):
    """The credential is missing, spent, revoked or not enough for this."""
class RateError(AccessError):
    """The same was asked too often; it is allowed again later."""
class MissingError(RefusedError):
    """There is nothing of this name."""
class ConflictError(RefusedError):
    """Something of this name is there already, or it has changed since it was read."""
class UsageError(RefusedError):
    """The options make no sense; a command line exits with 2."""
class PlanError(UsageError):
    """The plan of a contest cannot be read or makes no sense."""
