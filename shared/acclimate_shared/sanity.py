"""The sanity set of a bundle: fixed inputs, and what the model must answer to them on every machine.

It answers one question, pass or fail: does this package, on this machine, do what it did where it was released? So the
answers of the first state are kept, and compared within a tolerance; where labels are known, a least share of right
answers (or a largest mean error) may be demanded as well.

Example:
    >>> x, expected = np.zeros((2, 3)), np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> sanity = Sanity(x=x, expected=expected, rule=SanityRule(dims={"features": 3, "classes": 2}))
    >>> sanity.judge(expected).passed, sanity.judge(expected + 0.1).reason
    (True, 'answers differ by up to 0.1 at row 1')
"""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from acclimate_shared.errors import ShapeError
from acclimate_shared.learner import Tensors, read_tensors, write_tensors

MAX_ROWS = 4096
X, EXPECTED, LABEL = "x", "expected", "label"
_NAME = "sanity.safetensors"
_REMEDY = "build the bundle again"


class SanityRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the state is made (sizes of the named dims, seed) and how near the answers must be."""

    dims: dict[str, int]
    seed: int = 0
    atol: float = 1e-4
    rtol: float = 1e-3
    min_right: float | None = None  # share of labels, for classification
    max_error: float | None = None  # mean absolute error, for regression


@dataclass(frozen=True, slots=True, kw_only=True)
class SanityResult:
    """Pass or fail, why, and the largest difference of an answer from the expected one."""

    passed: bool
    reason: str
    worst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sanity:
    """See the module.

    Attributes:
        x: (rows, ...) float64, inputs of the learner.
        expected: (rows, outputs) float64, what ``predict`` answered.
        label: (rows,) int64 class indices or float64 targets, or None.
        rule: How to compare.
    """

    x: NDArray[np.float64]
    expected: NDArray[np.float64]
    rule: SanityRule
    label: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        """Check shapes, dtypes and the rule.

        Raises:
            ShapeError: Naming what is wrong.
        """
        rows, rule = self.x.shape[0] if self.x.ndim else 0, self.rule
        labelled = rule.min_right is not None or rule.max_error is not None
        rules = [
            (X, self.x.dtype == np.float64 and self.x.ndim >= 1, self.x.dtype),
            (X, 0 < rows <= MAX_ROWS, self.x.shape),
            (EXPECTED, self.expected.dtype == np.float64 and self.expected.ndim >= 1, self.expected.dtype),
            (EXPECTED, self.expected.shape[:1] == (rows,) and self.expected.size > 0, self.expected.shape),
            (EXPECTED, bool(np.isfinite(self.expected).all()), "not finite"),
            (LABEL, self.label is None or self.label.dtype.name in {"int64", "float64"}, self.label),
            (LABEL, self.label is None or self.label.shape == (rows,), self.label),
            (LABEL, self.label is not None or not labelled, "none, although the rule needs one"),
            ("rule.atol", 0 <= rule.atol < np.inf and 0 <= rule.rtol < np.inf, (rule.atol, rule.rtol)),
            ("rule.min_right", rule.min_right is None or 0 <= rule.min_right <= 1, rule.min_right),
            ("rule.max_error", rule.max_error is None or 0 <= rule.max_error < np.inf, rule.max_error),
        ]
        for field, good, value in rules:
            if not good:
                raise ShapeError("the sanity set is wrong", field=field, value=value, remedy=_REMEDY)

    def judge(self, answers: NDArray[Any]) -> SanityResult:
        """Compare what a machine answered with what it must.

        Args:
            answers: (rows, outputs) of ``predict`` for ``x``.

        Returns:
            Whether it passed. Anything that is not a number, and any other shape, fails.
        """
        if answers.shape != self.expected.shape:
            return SanityResult(passed=False, reason=f"answers have shape {answers.shape}", worst=np.inf)
        found = np.asarray(answers, np.float64)
        if not np.isfinite(found).all():
            return SanityResult(passed=False, reason="an answer is not a finite number", worst=np.inf)
        gap = np.abs(found - self.expected)
        worst = float(gap.max())
        over = gap > self.rule.atol + self.rule.rtol * np.abs(self.expected)
        if over.any():
            row = int(np.nonzero(over.reshape(len(over), -1).any(axis=1))[0][0]) + 1
            return SanityResult(passed=False, reason=f"answers differ by up to {worst:.3g} at row {row}", worst=worst)
        return self._judge_labels(found, worst)

    def tensors(self) -> bytes:
        """Return the safetensors file."""
        tensors: dict[str, NDArray[Any]] = {X: self.x, EXPECTED: self.expected}
        if self.label is not None:
            tensors[LABEL] = self.label
        return write_tensors(tensors)

    @classmethod
    def from_tensors(cls, data: bytes, rule: SanityRule) -> "Sanity":
        """Read a sanity set.

        Raises:
            ManifestError: If it is not a safetensors file.
            ShapeError: If it is not a sanity set.
        """
        found: Tensors = read_tensors(data, _NAME)
        if not {X, EXPECTED} <= found.keys() <= {X, EXPECTED, LABEL}:
            raise ShapeError("the sanity set has other tensors", field=_NAME, value=sorted(found), remedy=_REMEDY)
        return cls(x=found[X], expected=found[EXPECTED], label=found.get(LABEL), rule=rule)

    def _judge_labels(self, found: NDArray[np.float64], worst: float) -> SanityResult:
        rule, passed, reason = self.rule, True, "all answers as expected"
        if self.label is not None and rule.min_right is not None:
            right = float((found.reshape(len(found), -1).argmax(axis=1) == self.label).mean())
            passed, reason = right >= rule.min_right, f"{right:.1%} right, {rule.min_right:.1%} needed"
        if passed and self.label is not None and rule.max_error is not None:
            error = float(np.abs(found.reshape(len(found), -1)[:, 0] - self.label).mean())
            passed, reason = error <= rule.max_error, f"mean error {error:.3g}, at most {rule.max_error:.3g} allowed"
        return SanityResult(passed=passed, reason=reason, worst=worst)
