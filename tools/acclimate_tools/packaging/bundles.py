"""Build the base models of ``firmware_images/base_models`` into signed bundles.

    python -m acclimate_tools.packaging.bundles --out dist/bundles [--keys FOLDER --passphrase-file FILE]

For each folder: the learner is traced by ``acclimate-author build`` (or a standard one is taken), taught its first
rows, put into a bundle by ``acclimate-author bundle``, and released by ``acclimate-author release``. What comes out:

    NAME.bundle       the bundle
    NAME.update       bundle and signed metadata in one file, for `acclimate update`
    1.root.json       the root of trust that devices are given once
    fleet/            the author's repository: hand its metadata/ and bundles/ to a hub
    bundles.json      digests, sizes, shares of right answers

Without ``--keys`` it makes keys for this one run, in ``test-keys/`` beside the bundles, and says so: what they sign
proves nothing to anybody.
"""

import csv
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from acclimate_shared.bundle import digest_of, read_bundle
from acclimate_shared.durable import write_file
from acclimate_shared.errors import AcclimateError, UsageError
from acclimate_shared.learner import load_package, save_package
from acclimate_tools.packaging.base_model import STANDARD, BaseModel, all_folders, read_base_model
from acclimate_tools.packaging.pretrain import Rows, rows_of, trained
from acclimate_tools.packaging.signing import Keys, author, release

LABEL = "label"
STEPS = 200  # of the parity gate
SHORT_ROWS, SHORT_STEPS = 640, 5  # of a build that only shows that it works


def build_bundle(base: BaseModel, out: Path, *, short: bool = False) -> dict[str, Any]:
    """Build one bundle.

    Args:
        base: the model.
        out: file of the bundle.
        short: whether few steps of the parity gate and few rows do; nothing is asked of its answers then.

    Returns:
        What it is: digest, bytes, rows, shares of right answers.

    Raises:
        AcclimateError: anything about it is wrong; the subclass says what.
    """
    training = base.model.training
    count = min(training.rows, SHORT_ROWS) if short else training.rows
    with tempfile.TemporaryDirectory() as scratch:
        folder = _package(base, Path(scratch), SHORT_STEPS if short else STEPS)
        rows = rows_of(base, count + training.check_rows)
        package, right = trained(load_package(folder), base, rows.part(0, count))
        save_package(package, Path(scratch) / "taught")
        check = rows.part(count, len(rows.x))
        _write_rows(Path(scratch) / "check.csv", check)
        least = None if short else base.model.bundle.min_right
        author(_words(base, Path(scratch), out, labelled=len(check.y) > 0, min_right=least))
    data = out.read_bytes()
    found = {"digest": digest_of(data), "bytes": len(data), "rows": count, "check_rows": len(check.x)}
    if not len(check.y):
        return found
    sanity = read_bundle(data, digest=digest_of(data)).sanity
    checked = float((sanity.expected.argmax(axis=1) == check.y).mean())
    most = float(np.bincount(check.y).max() / len(check.y))
    return found | {"right_while_learning": right, "right_of_check": checked, "most_frequent_of_check": most}


def _package(base: BaseModel, scratch: Path, steps: int) -> Path:
    """Return the folder of the model's learner, untaught."""
    if base.model.standard is not None:
        return STANDARD / base.model.standard.learner
    folder = scratch / "untaught"
    author(["build", str(base.folder / "model.toml"), "--out", str(folder), "--steps", str(steps)])
    return folder


def _words(base: BaseModel, scratch: Path, out: Path, *, labelled: bool, min_right: float | None) -> list[str]:
    """Return the words of ``acclimate-author bundle``."""
    dims = base.model.standard.dims if base.model.standard else {}
    words = ["bundle", str(scratch / "taught"), "--plan", str(base.folder / "plan.toml")]
    words += ["--rows", str(scratch / "check.csv"), "--memory", str(base.model.bundle.memory_mib), "--out", str(out)]
    words += [word for name, size in dims.items() for word in ("--dim", f"{name}={size}")]
    words += [word for column in base.schema.column for word in ("--feature", f"{column.name}:{column.kind}")]
    words += [
        word
        for column in base.schema.column
        if column.edges
        for word in ("--edges", f"{column.name}={','.join(map(repr, column.edges))}")
    ]
    if labelled:
        words += ["--label", LABEL]
        words += ["--min-right", str(min_right)] if min_right is not None else []
    return words


def _write_rows(path: Path, rows: Rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        labels = [[int(y)] for y in rows.y] or [[] for _ in rows.x]
        writer.writerow([*(f"x{at}" for at in range(rows.x.shape[1])), *([LABEL] if len(rows.y) else [])])
        for x, label in zip(rows.x, labels, strict=True):
            writer.writerow(["" if np.isnan(value) else repr(float(value)) for value in x] + label)


def build_all(folders: Sequence[Path], out: Path, keys: Keys | None, *, short: bool = False) -> dict[str, Any]:
    """Build, sign and export the bundles of some folders; return what ``bundles.json`` holds.

    Raises:
        AcclimateError: see ``build_bundle``; or a key does not sign.
    """
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    for folder in folders:
        base = read_base_model(folder)
        found[base.model.name] = build_bundle(base, out / f"{base.model.name}.bundle", short=short)
    if keys is None:
        shutil.rmtree(out / "fleet", ignore_errors=True)  # keys of one run, a fleet of one run
    signer = keys or Keys.for_tests(out / "test-keys")
    release(out / "fleet", {name: out / f"{name}.bundle" for name in found}, signer)
    shutil.copyfile(out / "fleet" / "metadata" / "1.root.json", out / "1.root.json")
    document = {"keys": "test" if keys is None else "given", "bundles": found}
    write_file(out / "bundles.json", (json.dumps(document, indent=2) + "\n").encode())
    return document


@click.command()
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("dist/bundles"), show_default=True
)
@click.option("--keys", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder with your keys.")
@click.option("--passphrase-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Of the keys.")
@click.option("--only", multiple=True, metavar="NAME", help="Some of the models; default: all.")
@click.option("--short", is_flag=True, help="Few rows and steps: shows that it works, no more.")
def main(out: Path, keys: Path | None, passphrase_file: Path | None, only: tuple[str, ...], short: bool) -> None:  # noqa: FBT001
    """Build signed bundles of the base models."""
    try:
        folders = [folder for folder in all_folders() if not only or folder.name in only]
        if not folders:
            raise UsageError("no such base model", field="only", value=only)
        if keys is not None and passphrase_file is None:
            raise UsageError("your keys have a passphrase", field="--passphrase-file", remedy="name the file with it")
        given = Keys(keys, passphrase_file) if keys is not None and passphrase_file is not None else None
        document = build_all(folders, out, given, short=short)
    except AcclimateError as error:
        raise click.ClickException(str(error)) from error
    if given is None:
        click.echo(
            f"TEST KEYS: made for this run, in {out / 'test-keys'}. Sign what you release with your own: --keys."
        )
    for name, facts in document["bundles"].items():
        click.echo(f"{name}  {facts['digest'][:16]}  {facts['bytes']:,} bytes  {out / f'{name}.update'}")


if __name__ == "__main__":
    main()
