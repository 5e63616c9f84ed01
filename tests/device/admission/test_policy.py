"""The policy for labels: declared, checked, and with defaults that trust the owner alone."""

from pathlib import Path
from typing import Any

import pytest

from acclimate_device.admission.policy import OWNER, UNNAMED, Policy, SourceRule, read_policy
from acclimate_shared.errors import UsageError


def test_the_defaults() -> None:
    policy = Policy()
    assert policy.rule(OWNER).trusted
    assert policy.rule(UNNAMED) == SourceRule(share=1.0)
    assert policy.rule("somebody") == SourceRule(share=0.5)
    assert Policy(sources={OWNER: SourceRule(weight=0.0)}).rule(OWNER).weight == 0.0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"default": {"share": 0.0}}, "default.share"),
        ({"default": {"weight": float("nan")}}, "default.weight"),
        ({"sources": {"a": {"per_minute": -1}}}, "sources.a.per_minute"),
        ({"sources": {"a": {"wieght": 1.0}}}, "wieght"),
        ({"clip": "some"}, "clip"),
        ([], "policy"),
    ],
)
def test_nonsense_is_refused_by_name(values: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Policy.from_dict(values)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "labels.toml"
    with pytest.raises(UsageError, match="cannot be read"):
        read_policy(path)
    path.write_text("[default\n")
    with pytest.raises(UsageError, match="not TOML"):
        read_policy(path)
    path.write_text("[sources.bot]\nweight = 0.0\n")
    assert read_policy(path).rule("bot").weight == 0.0
