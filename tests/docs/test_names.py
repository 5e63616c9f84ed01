"""What pages name in the repository is there: files, folders, and targets of make."""

import re
from pathlib import Path

import pytest

from acclimate_tools.docs.site import BESIDE, DOCS, ROOT

PAGES = [
    *(path for path in DOCS.rglob("*.md") if "adr" not in path.parts),
    ROOT / "README.md",
    *map(ROOT.joinpath, BESIDE),
]
_FILE = re.compile(r"`((?:docs|tests|tools|shared|device|hub|firmware_images)/[^`\s*]+)`")
_MAKE = re.compile(r"(?:`|^    )make ([a-z\-]+)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_targets_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z\-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert [name for name in _FILE.findall(text) if not (ROOT / name).exists()] == []
    assert set(_MAKE.findall(text)) <= targets
