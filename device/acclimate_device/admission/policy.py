"""What a person declares about those who give labels.

Unknown fields are refused, so that a misspelt one is not silently without effect.

Example:
    >>> policy = Policy.from_toml('''
    ... [default]
    ... share = 0.3
    ... per_minute = 60
    ... [sources.crowd-17]
    ... weight = 0.0
    ... [sources.owner]
    ... trusted = true
    ... ''')
    >>> policy.rule("crowd-17").weight, policy.rule("owner").trusted, policy.rule("somebody").share
    (0.0, True, 0.3)
"""

import math
from pathlib import Path
from typing import Any, Literal

import msgspec

from acclimate_shared import toml_text
from acclimate_shared.errors import UsageError

OWNER = "owner"  # the person or program that the device belongs to
UNNAMED = ""  # labels that came without a source: the application's own

MOST_PER_MINUTE = 100_000  # labels; a limit above is no limit
MOST_WEIGHT = 1e6


class SourceRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one source may do.

    Attributes:
        weight: its labels count this much; 0 revokes it: its labels are refused.
        per_minute: most labels in any minute of event time; 0 for no limit.
        share: most of the weight of recent labels, once others give labels too; 1 for no limit.
        trusted: never held, clipped or capped; only ``weight`` and ``per_minute`` hold.
    """

    weight: float = 1.0
    per_minute: int = 0
    share: float = 0.5
    trusted: bool = False


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all sources may do.

    Attributes:
        sources: rules by name. Without a word about them, ``owner`` is trusted, and labels without a source have no
            share to keep to.
        default: for every other source.
        clip: whose surprising labels weigh less: those of ``doubtful`` sources, of ``all``, of ``none``.
        hold: whether contradictions that no other source supports are held for a person to look at.
    """

    sources: dict[str, SourceRule] = {}
    default: SourceRule = SourceRule()
    clip: Literal["none", "doubtful", "all"] = "doubtful"
    hold: bool = True

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the field.
        """
        for name, rule in (("default", self.default), *((f"sources.{n}", r) for n, r in self.sources.items())):
            _check(f"{name}.weight", rule.weight, 0.0, MOST_WEIGHT)
            _check(f"{name}.per_minute", rule.per_minute, 0, MOST_PER_MINUTE)
            _check(f"{name}.share", rule.share, 0.01, 1.0)

    def rule(self, source: str) -> SourceRule:
        """Return the rule of a source."""
        return self.sources.get(source) or _BUILT_IN.get(source) or self.default

    @staticmethod
    def from_dict(values: Any) -> "Policy":  # noqa: ANN401 (checked here)
        """Return the policy that JSON or TOML values describe.

        Raises:
            UsageError: naming what is wrong.
        """
        try:
            return msgspec.convert(values, Policy)
        except msgspec.ValidationError as exc:
            raise UsageError(f"not a policy for labels: {exc}", field="admission", remedy="see the README") from exc

    @staticmethod
    def from_toml(text: str) -> "Policy":
        """Return the policy of a TOML text.

        Raises:
            UsageError: it is not TOML, or no policy.
        """
        return Policy.from_dict(toml_text.parse(text, "admission"))


def read_policy(path: Path) -> Policy:
    """Read a policy for labels from a TOML file.

    Raises:
        UsageError: the file cannot be read, or is no policy.
    """
    return Policy.from_toml(toml_text.text_of(path, "admission"))


def _check(field: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise UsageError("not a possible value", field=field, value=value, remedy=f"give {low:g} to {high:g}")


_BUILT_IN = {OWNER: SourceRule(trusted=True), UNNAMED: SourceRule(share=1.0)}
OFF = Policy(
    sources={UNNAMED: SourceRule(share=1.0)}, default=SourceRule(share=1.0), clip="none", hold=False
)  # counts, but neither clips, caps nor holds
