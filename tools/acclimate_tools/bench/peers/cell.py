"""The process of one cell: one peer, one recording, one delay, on one core.

    python -m acclimate_tools.bench.peers.cell JOB.json

reads what to do, pins itself, runs the peer through its adapter, and writes ``answers.npy`` and ``cost.json`` into the
job's folder; the last one last, so that a cell that was killed has none.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any


def main(job_path: str) -> None:
    """Run the cell."""
    job: dict[str, Any] = json.loads(Path(job_path).read_text(encoding="utf-8"))
    os.sched_setaffinity(0, {job["core"]})
    import numpy as np  # after pinning, so that its libraries see one core

    outcome, classes = _run(job)
    first_wall, first_cpu = outcome.first_answer or (None, None)
    folder = Path(job_path).parent
    np.save(folder / "answers.npy", outcome.answers)
    cost = {
        "rows": len(outcome.answers),
        "complete": outcome.complete,
        "loop_cpu_s": outcome.loop_cpu_s,
        "cpu_s": outcome.cpu_s,
        "first_answer_s": None if first_wall is None else first_wall - job["started"],
        "first_answer_cpu_s": first_cpu,
        "peak_rss_bytes": outcome.peak_rss_bytes,
        "state_bytes": outcome.state_bytes,
        "classes": classes,
    }
    part = folder / "cost.json.part"
    part.write_text(json.dumps(cost), encoding="utf-8")
    part.replace(folder / "cost.json")


def _run(job: dict[str, Any]) -> tuple[Any, list[str] | None]:
    adapter = importlib.import_module(f"acclimate_tools.bench.peers.{job['adapter']}")
    shared = {"delay": job["delay"], "budget_s": job["budget_s"]}
    if "file" in job:  # ours reads the stream itself
        path, ignore = Path(job["file"]), tuple(job["ignore"])
        found: tuple[Any, list[str]] = adapter.run(
            job["model"], path, job["label"], ignore, rows=job["rows"], seed=job["seed"], **shared
        )
        return found
    from acclimate_tools.bench.peers.protocol import run
    from acclimate_tools.bench.peers.recording import Recording, with_last_label

    recording = Recording(Path(job["recording"]))
    facts, blocks, targets = recording.facts, recording.blocks(), recording.targets()
    if job.get("last_label"):
        facts, blocks = with_last_label(facts, blocks, targets, job["delay"])
    peer = adapter.build(job["model"], facts, job["seed"])
    return run(peer, facts, blocks, targets, **shared), None


if __name__ == "__main__":
    main(sys.argv[1])
