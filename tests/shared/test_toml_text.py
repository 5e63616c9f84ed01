from pathlib import Path

import pytest

from acclimate_shared.errors import UsageError
from acclimate_shared.toml_text import MOST_BYTES, MOST_LINE, parse, text_of


def test_values_are_returned() -> None:
    assert parse('a = 1\n[b]\nc = "x"\n', "rule") == {"a": 1, "b": {"c": "x"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = ", "not TOML"),
        ("a = " + "[" * 1000, "not TOML"),
        ("a = 1979-99-99", "not TOML"),
        ("a" + ".a" * MOST_LINE, "line is too long"),
        ("a = 1\n" * MOST_BYTES, "too long"),
    ],
)
def test_others_are_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse(text, "rule")
    assert caught.value.field == "rule"
    assert caught.value.remedy


def test_files(tmp_path: Path) -> None:
    good, latin, large = (tmp_path / name for name in ("good", "latin", "large"))
    good.write_text("a = 'é'", "utf-8")
    latin.write_text("a = 'é'", "latin-1")
    large.write_bytes(b"#" * (MOST_BYTES + 1))
    assert text_of(good, "rule") == "a = 'é'"
    for path in (latin, large, tmp_path / "gone", tmp_path):
        with pytest.raises(UsageError, match="file"):
            text_of(path, "rule")
