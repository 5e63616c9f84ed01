"""``python -m acclimate_tools.docs.site``: builds the site, strictly, from pages, code and results.

The pages of ``docs/`` are copied to a folder of their own, with figures filled in and the reference beside them; Sphinx
makes HTML of that. A link that leads nowhere, a page that is in no table of contents, a picture or a figure that is not
there: each ends the build. What is built needs no network to be read.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import click
from sphinx.cmd.build import build_main

from acclimate_shared.errors import AcclimateError, RefusedError
from acclimate_tools.docs import figures, reference

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
#: Pages that lie beside the code, and what they are called in the site.
BESIDE = {"ARCHITECTURE.md": "architecture.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}


def prepare(folder: Path) -> None:
    """Write everything that Sphinx reads into a new folder.

    Raises:
        MissingError: a page shows a figure that is not there.
    """
    shutil.copytree(DOCS, folder, ignore=shutil.ignore_patterns("results"))
    results = figures.read_results(DOCS / "results")
    for path in folder.rglob("*.md"):
        path.write_text(figures.fill(path.read_text(encoding="utf-8"), results), encoding="utf-8")
    for name, called in BESIDE.items():
        shutil.copy(ROOT / name, folder / called)
    for place, text in reference.pages().items():
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")


def build(out: Path) -> None:
    """Build the site; what was at ``out`` is replaced.

    Raises:
        RefusedError: something is wrong with a page; Sphinx has said what.
        MissingError: a page shows a figure that is not there.
    """
    with tempfile.TemporaryDirectory(prefix="acclimate-docs-") as scratch:
        source, html = Path(scratch) / "docs", Path(scratch) / "html"
        prepare(source)
        make(source, html)
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(html, out)


def make(source: Path, html: Path) -> None:
    """Let Sphinx make HTML of a folder with pages and ``conf.py``; whatever it warns of is refused.

    Raises:
        RefusedError: something is wrong with a page; Sphinx has said what.
    """
    strictly = ["--fail-on-warning", "--keep-going", "--quiet", "--builder", "html"]
    if build_main([*strictly, "--doctree-dir", str(html.with_name("trees")), str(source), str(html)]):
        raise RefusedError("the site cannot be built", field="docs", remedy="see what Sphinx says above")


@click.command()
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=ROOT / "build" / "site", help="To write to."
)
def main(out: Path) -> None:
    """Build the site of the documentation."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        build(out)
    except AcclimateError as error:
        click.echo(f"docs: {error}", err=True)
        sys.exit(1)
    click.echo(out / "index.html")


if __name__ == "__main__":
    main()
