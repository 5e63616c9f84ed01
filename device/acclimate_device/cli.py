"""The command line of the device: parse, call one function, print.

Exit codes: 0 done (rejected rows included), 1 failure, 2 wrong usage.
"""

import sys
from pathlib import Path
from typing import Any, Literal, NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import acclimate_shared
from acclimate_device.cli_backtest import backtest
from acclimate_device.cli_columns import columns
from acclimate_device.cli_config import config
from acclimate_device.cli_contest import contest, forget, freshness, lineage, names_of, promote, rollback, surgery
from acclimate_device.cli_doctor import doctor
from acclimate_device.cli_enrol import enrol
from acclimate_device.cli_keys import rotate, wipe
from acclimate_device.cli_local import serve
from acclimate_device.cli_options import learning_options, triggers_option
from acclimate_device.cli_quarantine import quarantine
from acclimate_device.cli_run import run
from acclimate_device.cli_state import export_state, import_state, privacy
from acclimate_device.cli_update import update
from acclimate_device.cli_watch import watch
from acclimate_shared.errors import AcclimateError, StateError, StateMismatchError, UsageError

EXIT_FAILURE, EXIT_USAGE = 1, 2


def _stop(error: AcclimateError) -> NoReturn:
    """Print an error as one paragraph and exit."""
    click.echo(f"acclimate: {error}", err=True)
    sys.exit(EXIT_USAGE if isinstance(error, UsageError | StateMismatchError) else EXIT_FAILURE)


class _Group(click.Group):
    """Turns our errors into exit codes, for every command in one place."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 (click's signature)
        try:
            return super().invoke(ctx)
        except AcclimateError as error:
            _stop(error)
        except BrokenPipeError:
            sys.exit(EXIT_FAILURE)
        except OSError as error:
            message = f"the system refuses: {error.strerror or error}"
            _stop(StateError(message, field="file", value=error.filename or "output", remedy="check disk and rights"))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(acclimate_shared.__version__, prog_name="acclimate")
def main() -> None:
    """Models that keep learning on the device where they serve.

    \b
    Try:
      acclimate demo                                   watch it learn from a shipped recording
      acclimate replay data.csv --label target         test-then-train over your own file
      acclimate run --source host --state ./state      learn from this machine's telemetry
    """  # noqa: D301 (click's mark for a verbatim paragraph)


@main.command()
@click.argument("file")
@click.option("--label", required=True, metavar="COL", help="Column to predict.")
@click.option("--task", type=click.Choice(["auto", "classification", "regression"]), default="auto", show_default=True)
@click.option("--ignore", metavar="A,B", help="Columns that are not inputs (ids, times).")
@click.option("--key", metavar="COL", help="Groups the history of labels (a device, a user); not an input.")
@click.option(
    "--delay", type=click.IntRange(0, 10_000_000), default=0, show_default=True, help="Rows until a label arrives."
)
@click.option(
    "--inner", type=click.IntRange(1, 4096), default=32, show_default=True, help="Most rows learned in one step."
)
@click.option("--rows", type=click.IntRange(1), help="Only the first N data rows.")
@click.option(
    "--state", type=click.Path(file_okay=False, path_type=Path), help="Folder that lets a killed replay go on."
)
@click.option(
    "--prior",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="State folder to start from: what was learned on others.",
)
@click.option("--json", "json_path", metavar="OUT", help="Write the result as JSON; - for standard output.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write an HTML report with plots.")
@triggers_option
@learning_options
def replay(  # noqa: PLR0913, PLR0917 (click passes every option)
    file: str,
    label: str,
    task: Literal["auto", "classification", "regression"],
    ignore: str | None,
    key: str | None,
    delay: int,
    inner: int,
    rows: int | None,
    state: Path | None,
    json_path: str | None,
    report: Path | None,
    prior: Path | None,
    triggers: str | None,
    learners: str | None,
    policy: Literal["continual", "superiority"],
    commission: int,
    challengers: str | None,
    plan: Path | None,
    variants: Path | None,
    scratch: int,
    outside: tuple[Path, ...],
    micro_batch: int,
    seed: int,
) -> None:
    """Predict every row of FILE (CSV, gzip, JSON lines, - for stdin) before learning from its label.

    \b
    Examples:
      acclimate replay elec2.csv.gz --label label --report elec2.html
      acclimate replay air.csv --label pm25 --key station --ignore time --delay 24
      cat log.csv | acclimate replay - --label state --json -
    """  # noqa: D301
    from acclimate_device.replay_file import Request

    request = Request(
        path=file, label=label, task=task, ignore=names_of(ignore), key=key, learners=names_of(learners) or None,
        delay=delay, micro_batch=micro_batch, inner=inner, rows=rows, seed=seed, state=state, policy=policy,
        commission=commission, challengers=names_of(challengers) or None, plan=plan, triggers=triggers, prior=prior,
        scratch=scratch, outside=outside, variants=variants,
    )  # fmt: skip
    _replay(request, json_path, report)


def _replay(request: Any, json_path: str | None, report: Path | None) -> dict[str, Any]:  # noqa: ANN401
    """Replay with a progress bar, then print and write what was asked for."""
    from acclimate_device.outputs import check_writable, print_table, to_json, write_text
    from acclimate_device.replay import Replay
    from acclimate_device.replay_file import prepare, replay_file

    for path in (report, Path(json_path) if json_path and json_path != "-" else None):
        if path:
            check_writable(path)
    notes = Console(stderr=True)
    prepared = prepare(request)
    if request.task == "auto":
        notes.print(f"task: {prepared.task} (decided from the first {len(prepared.sample):,} labels; --task overrides)")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=notes, transient=True) as bar:
        job = bar.add_task("predict, then learn", total=request.rows)

        def show(state: Replay) -> None:
            bar.update(job, completed=state.rows)

        result = replay_file(request, prepared=prepared, progress=show)
    print_table(notes if json_path == "-" else Console(), result)
    if json_path == "-":
        click.echo(to_json(result), nl=False)
    elif json_path:
        write_text(Path(json_path), to_json(result))
    if report:
        from acclimate_device.report import write_report

        write_report(result, report)
        notes.print(f"report: {report}")
    return result


@main.command()
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), default=Path("acclimate-demo.html"), show_default=True
)
@click.option("--json", "json_path", metavar="OUT", help="Write the result as JSON; - for standard output.")
def demo(report: Path, json_path: str | None) -> None:
    """Replay a real recording that ships with Acclimate: telemetry of a machine at work.

    The question: how busy will the processor be over the next five seconds? The label of a row is known only when
    those seconds are over, so it arrives ten rows late, as it would on a device.
    """
    from importlib.resources import as_file, files

    from acclimate_device.replay_file import Request

    notes = Console(stderr=True)
    with as_file(files("acclimate_device") / "recordings" / "host_telemetry.csv.gz") as path:
        request = Request(path=str(path), label="cpu_ahead", ignore=("timestamp",), delay=10)
        _replay(request, json_path, report)
    notes.print("\nNext, try:")
    notes.print(f"  open {report} in a browser: who was right, when, and who was listened to")
    notes.print("  acclimate replay YOUR.csv --label COLUMN --report report.html")
    notes.print("  acclimate run --source host --state ./state    (this machine, live; Ctrl-C stops it)")


@main.command()
@click.argument("state", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(state: Path, as_json: bool) -> None:  # noqa: FBT001
    """Tell what a state folder holds: versions, labels learned, sizes.

    \b
    Example:
      acclimate status ./state
    """  # noqa: D301
    from acclimate_device.outputs import to_json
    from acclimate_device.status import describe

    found = describe(state)
    if as_json:
        click.echo(to_json(found), nl=False)
        return
    for name, value in found.items():
        click.echo(f"{name:>16}  {value}")


@main.command()
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(package: Path, as_json: bool) -> None:  # noqa: FBT001
    """Verify a learner package (a folder, or the name of a standard learner) and tell what it is.

    \b
    Examples:
      acclimate inspect ./my-learner
      acclimate inspect rls-classification
    """  # noqa: D301
    from acclimate_device.outputs import to_json
    from acclimate_device.status import describe_package

    found = describe_package(package)
    if as_json:
        click.echo(to_json(found), nl=False)
        return
    for name, value in found.items():
        click.echo(f"{name:>12}  {value}")


_COMMANDS = (
    backtest, columns, config, contest, doctor, enrol, export_state, forget, freshness, import_state, lineage, privacy,
    promote, quarantine, rollback, rotate, run, serve, surgery, update, watch, wipe,
)  # fmt: skip
for _command in _COMMANDS:
    main.add_command(_command)


if __name__ == "__main__":
    main()
