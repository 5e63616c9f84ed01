"""Write what a command found: strict JSON, and a table for people."""

import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from acclimate_shared.errors import UsageError


def strict(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Return ``value`` with every number that JSON cannot hold replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return value


def to_json(value: Any) -> str:  # noqa: ANN401
    """Return strict JSON text: null where a number is not finite."""
    return json.dumps(strict(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        UsageError: the place cannot be written.
    """
    check_writable(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as exc:
        raise UsageError(
            f"cannot write: {exc.strerror}", field="output", value=str(path), remedy="name another"
        ) from exc


def check_writable(path: Path) -> None:
    """Refuse an output whose folder cannot be written, before the work and not after it.

    Raises:
        UsageError: the folder is missing or not writable, or the path is a folder.
    """
    if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageError(
            "cannot write there", field="output", value=str(path), remedy="name a file in a folder that exists"
        )


def print_table(console: Console, result: Mapping[str, Any]) -> None:
    """Print the scores of a replay beside the baselines."""
    regression = result["task"] == "regression"
    metric = "mae" if regression else "accuracy"
    label = "MAE (lower is better)" if regression else "right"
    table = Table(title=f"{result['file']}: {result['rows_scored']:,} rows predicted before their label was learned")
    table.add_column("who answered")
    table.add_column(label, justify="right")
    table.add_row("[bold]served[/bold]", f"[bold]{_number(result['served'][metric], regression)}[/bold]")
    for name, score in result["baselines"].items():
        table.add_row(f"baseline: {name.replace('_', ' ')}", _number(score[metric], regression))
    for candidate in sorted(result["candidates"], key=lambda c: _order(c[metric], regression)):
        table.add_row(f"  {candidate['id']}", _number(candidate[metric], regression))
    console.print(table)
    extra = {name: value for name, value in result["served"].items() if name not in {metric, "accuracy_all_rows"}}
    console.print("  ".join(f"{name} {_plain(value)}" for name, value in extra.items()))
    if contest := result.get("contest"):
        events = [event["event"] for event in contest["transitions"]]
        counts = f"{contest['tests_started']} tests, {events.count('promote')} promoted"
        counts += f", {events.count('rollback')} rolled back"
        console.print(f"champion {contest['champion']}, version {contest['version']}   {counts}", highlight=False)
    speed = result["throughput_events_per_s"]
    console.print(
        f"{'-' if speed is None else f'{speed:,.0f}'} events/s   {result['cpu_s']:.1f} CPU-s   "
        f"peak {result['peak_rss_mib']:.0f} MiB   state {result['state_bytes'] / 1024:.0f} KiB"
    )
    print_rejects(console, result)


def print_rejects(console: Console, result: Mapping[str, Any]) -> None:
    """Print the warnings and why rows were not used."""
    for warning in result["warnings"]:
        console.print(f"[yellow]note:[/yellow] {warning}", highlight=False)
    if result["rows_rejected"]:
        console.print(f"[yellow]{result['rows_rejected']:,} of {result['rows_read']:,} rows were not used:[/yellow]")
        for reason, count in result["rejects_by_reason"].items():
            console.print(f"  {count:,} × {reason}", highlight=False, markup=False)
        for reject in result["rejects"][:5]:
            console.print(
                f"  row {reject['row']}: {reject['reason']}; {reject['remedy']}", highlight=False, markup=False
            )


def _order(value: float | None, regression: bool) -> float:  # noqa: FBT001
    if value is None:
        return math.inf
    return value if regression else -value


def _number(value: float | None, regression: bool) -> str:  # noqa: FBT001
    if value is None:
        return "-"
    return f"{value:.4g}" if regression else f"{100 * value:.2f} %"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
