"""The site: built strictly, whole, and readable without a network."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from acclimate_shared.errors import RefusedError
from acclimate_tools.docs.site import DOCS, make

#: Sphinx's own renaming, in an extension that is not ours.
pytestmark = pytest.mark.filterwarnings("ignore:'myst_parser")
GOOD = "# Home\n\n```{toctree}\nother\n```\n\n[other](other.md#part) ![a picture](dot.svg)\n"
DOT = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "html"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "acclimate_tools.docs.site", "--out", str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


class Parts(HTMLParser):
    """What a page loads, where it leads, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors.add(found.get("id") or "")
        if tag in {"script", "img", "iframe", "source"} and found.get("src"):
            self.loads.append(str(found["src"]))
        elif tag == "link" and found.get("rel") not in {"index", "search", "next", "prev", "canonical"}:
            self.loads.append(str(found["href"]))
        elif tag == "a" and found.get("href"):
            self.leads.append(str(found["href"]))


@pytest.mark.slow
def test_the_site_is_whole_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = {path: Parts(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    written = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert written <= {path.relative_to(site) for path in pages}
    for path, parts in pages.items():
        for address in parts.loads:
            target = path.parent / unquote(urlsplit(address).path)
            assert not urlsplit(address).netloc, (path, address)
            assert target.exists(), (path, address)
        for address in parts.leads:
            where = urlsplit(address)
            target = (path.parent / unquote(where.path)).resolve() if where.path else path
            if not where.scheme and target in pages and where.fragment:
                assert unquote(where.fragment) in pages[target].anchors, (path, address)
            assert where.scheme or target.exists(), (path, address)
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?https?:|@import", path.read_text(encoding="utf-8")), path


@pytest.mark.slow
def test_the_reference_is_in_the_site(site: Path) -> None:
    wanted = {
        "acclimate": "acclimate quarantine discard", "acclimate-hub": "--least-devices", "errors": "LateLabelError",
        "messages": "rollout-block", "http-api": "/api/v1/devices/{device}/revoke", "python-api": "feedback",
        "acclimate-author": "--passphrase-file",
    }  # fmt: skip
    for name, words in wanted.items():
        assert words in (site / "reference" / f"{name}.html").read_text(encoding="utf-8"), name


@pytest.fixture
def small(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    shutil.copy(DOCS / "conf.py", folder)
    (folder / "index.md").write_text(GOOD)
    (folder / "other.md").write_text("# Other\n\n## Part\n")
    (folder / "dot.svg").write_text(DOT)
    return folder


def test_a_good_site_is_made(small: Path, tmp_path: Path) -> None:
    make(small, tmp_path / "html")
    assert (tmp_path / "html" / "other.html").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("index.md", GOOD.replace("(other.md#part)", "(nowhere.md)")),
        ("index.md", GOOD.replace("#part", "#nothing")),
        ("index.md", GOOD.replace("dot.svg", "none.svg")),
        ("index.md", GOOD.replace("\nother\n", "\nnone\n")),
        ("lonely.md", "# Nobody leads here\n"),
    ],
)
def test_whatever_is_wrong_ends_the_build(
    name: str, text: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (small / name).write_text(text)
    with pytest.raises(RefusedError):
        make(small, tmp_path / "html")
    assert "WARNING" in capsys.readouterr().err
