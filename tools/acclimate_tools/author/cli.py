"""The command line of the author: from torch code to a learner package that devices run without torch, and its release.

Exit codes: 0 done, 1 refused (the parity gate, an operator), 2 wrong usage.
"""

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

import acclimate_shared
from acclimate_shared.errors import AcclimateError, UsageError
from acclimate_tools.author.cli_bundle import bundle
from acclimate_tools.author.release.cli import keys, release

EXIT_REFUSED, EXIT_USAGE = 1, 2


class _Group(click.Group):
    """Turns our errors into exit codes."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 (click's signature)
        try:
            return super().invoke(ctx)
        except AcclimateError as error:
            click.echo(f"acclimate-author: {error}", err=True)
            sys.exit(EXIT_USAGE if isinstance(error, UsageError) else EXIT_REFUSED)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(acclimate_shared.__version__, prog_name="acclimate-author")
def main() -> None:
    """Trace learners written in torch into packages that devices run without it, and release them."""


@main.command()
@click.argument("spec")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the package.")
@click.option(
    "--steps", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Steps of the parity gate."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of the gate's data."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def build(spec: str, out: Path, steps: int, seed: int, as_json: bool) -> None:  # noqa: FBT001
    """Trace SPEC, check it against torch step by step, and write the package.

    SPEC is module:factory (a function without arguments that returns a Network or a Source) or a .toml file with a
    [learner] table: name, task, features, classes, hidden, layer_norm, optimiser, rate, weight_decay, clip_norm,
    replay_size, replay_rows, class_balanced, flag_missing, inner, seed.

    \b
    Examples:
      acclimate-author build pump.toml --out ./pump
      acclimate-author build mymodels:pump --out ./pump --steps 200
    """  # noqa: D301
    from acclimate_shared.learner import save_package
    from acclimate_tools.author import parity
    from acclimate_tools.author.inspect import describe
    from acclimate_tools.author.package import package_of
    from acclimate_tools.author.spec import load

    notes = Console(stderr=True)
    source = load(spec)
    with notes.status("tracing forward, backward and optimiser"):
        package = package_of(source)
    with Progress(console=notes, transient=True) as bar:
        job = bar.add_task("parity with torch", total=steps)
        found = parity.check(source, package, steps=steps, seed=seed, progress=lambda n: bar.update(job, completed=n))
    save_package(package, out)
    gate = {
        "steps": found.steps,
        "worst": found.worst,
        "tensor": found.tensor,
        "loss_difference": found.loss_difference,
    }
    _print({**describe(package), "parity": gate, "folder": str(out)}, as_json=as_json)


@main.command()
@click.argument("package", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(package: Path, as_json: bool) -> None:  # noqa: FBT001
    """Verify PACKAGE and print what it is and costs.

    \b
    Example:
      acclimate-author inspect ./pump
    """  # noqa: D301
    from acclimate_shared.learner import load_package
    from acclimate_tools.author.inspect import describe

    _print(describe(load_package(package)), as_json=as_json)


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    from acclimate_device.outputs import to_json

    if as_json:
        click.echo(to_json(found), nl=False)
        return
    for name, value in found.items():
        shown = f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
        click.echo(f"{name:>16}  {shown}")


for _command in (bundle, keys, release):
    main.add_command(_command)


if __name__ == "__main__":
    main()
