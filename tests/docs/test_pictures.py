"""The pictures of the pages: every PNG is made here, from what it shows, by ``make screenshots``.

The gate takes them too, into pytest's folder: a page or a part that has gone is a picture that can't be made.
"""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from acclimate_tools.docs.site import DOCS
from tests.docs import snippets
from tests.docs.test_snippets import environment, text_of
from tests.hub.pages.scene import ROLLOUT, Scene, rollout_url

MOST_BYTES = 150_000
SIZE, REPORT_SIZE = {"width": 1000, "height": 680}, {"width": 860, "height": 680}
#: What each picture shows: the page of the documentation that makes the report, and a heading in it ...
REPORTS = {"report": ("tutorials/offline.md", "Right answers over time")}
#: ... or a page of the hub, and a part of it that must be there.
PAGES = {"fleet": ("/ui/", "#bases"), "device": ("/ui/devices/gw-0", "#lineage"), "rollout": (rollout_url(), "#waits")}
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return where they go: to the docs themselves where ``make screenshots`` says so."""
    return Path(os.environ.get("ACCLIMATE_DOC_PICTURES", tmp_path))


def taken(part: Any, path: Path) -> None:
    part.screenshot(path=path)
    assert 5_000 < path.stat().st_size <= MOST_BYTES, path.stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("name", REPORTS)
def test_a_picture_of_a_report(name: str, chromium: Browser, pictures: Path, tmp_path: Path) -> None:
    place, heading = REPORTS[name]
    found = list(snippets.blocks(text_of(DOCS / place)))
    made = [
        block for block in found if "file" in block.words or (block.language == "python" and "pump.csv" in block.text)
    ]
    replayed = next(block for block in found if block.language == "sh" and "--report" in block.text)
    text = "\n".join(f"```{b.language} {' '.join(f'{k}={v}' for k, v in b.words.items())}\n{b.text}```" for b in made)
    command = next(line for line in re.sub(r"\\\n\s*", " ", replayed.text).splitlines() if "--report" in line)
    snippets.play(f"{text}\n```sh\n{command}\n```\n", tmp_path, environment(), long=False, within_s=120)
    page = chromium.new_page(viewport=REPORT_SIZE, color_scheme="light")  # type: ignore[arg-type]
    page.goto((tmp_path / "pump.html").as_uri())
    part = page.locator("section", has=page.get_by_role("heading", name=heading))
    expect(part).to_be_visible()
    taken(part, pictures / f"{name}.png")
    page.close()


@pytest.mark.slow
def test_pictures_of_the_pages_of_the_hub(lively: Scene, visit: Any, pictures: Path) -> None:
    while lively.rollouts.get(ROLLOUT).wave < 1:
        lively.round()
    for _ in range(5):
        lively.round(0.002)
    one = visit(lively, "operator", size=(SIZE["width"], SIZE["height"]), color_scheme="light")
    for name, (place, part) in PAGES.items():
        page: Page = one.go(place)
        expect(page.locator(part)).to_be_visible()
        taken(page, pictures / f"{name}.png")
    assert one.complaints == []


def test_every_picture_is_there_and_small() -> None:
    shown = {
        (page.parent / place).resolve()
        for page in DOCS.rglob("*.md")
        for _, place in _PICTURE.findall(page.read_text(encoding="utf-8"))
    }
    there = {path.resolve() for path in (DOCS / "img").iterdir()}
    assert shown == there
    assert {path.stem for path in there if path.suffix == ".png"} == {*REPORTS, *PAGES}
    assert max(path.stat().st_size for path in there) <= MOST_BYTES


def test_every_picture_has_words() -> None:
    found = [words for page in DOCS.rglob("*.md") for words, _ in _PICTURE.findall(page.read_text(encoding="utf-8"))]
    assert found
    assert all(found)
