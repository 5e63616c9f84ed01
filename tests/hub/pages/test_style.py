"""Colours of the style sheet: words can be read in light and in dark (WCAG 2.1, 1.4.3 and 1.4.11)."""

import re

import pytest

from acclimate_hub.pages.render import STATIC

SHEET = (STATIC / "pages.css").read_text(encoding="utf-8")
TONES = ("good", "warn", "bad", "live", "muted", "plain", "accent", "ink")
LINES = tuple(f"line-{at}" for at in range(6))


def colours(dark: bool) -> dict[str, str]:
    blocks = re.findall(r":root \{(.*?)\}", SHEET, re.DOTALL)
    assert len(blocks) == 2
    found: dict[str, str] = {}
    for block in blocks[: 1 + dark]:
        found |= dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", block))
    return found


def luminance(colour: list[float]) -> float:
    """Relative luminance of sRGB, each 0 to 1."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def rgb(text: str) -> list[float]:
    return [int(text[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def contrast(one: list[float], two: list[float]) -> float:
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out_from_what_is_behind_them(dark: bool) -> None:
    found = colours(dark)
    surface = rgb(found["surface"])
    for tone in TONES:
        for behind in ("surface", "bg"):
            assert contrast(rgb(found[tone]), rgb(found[behind])) >= 4.5, (tone, behind)
        mixed = [0.13 * part + 0.87 * base for part, base in zip(rgb(found[tone]), surface, strict=True)]
        assert contrast(rgb(found[tone]), mixed) >= 4.5, f"pill {tone}"
    assert contrast(rgb(found["accent-ink"]), rgb(found["accent"])) >= 4.5
    assert contrast(surface, rgb(found["bad"])) >= 4.5
    assert contrast(rgb(found["ink"]), rgb(found["sunken"])) >= 4.5


@pytest.mark.parametrize("dark", [False, True])
def test_lines_marks_and_fields_can_be_seen(dark: bool) -> None:
    found = colours(dark)
    for name in (*LINES, "focus", "off"):
        assert contrast(rgb(found[name]), rgb(found["surface"])) >= 3.0, name


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert "url(" not in SHEET
    assert "@import" not in SHEET
