"""The benchmark of the local socket, with few requests: it measures, and says whether the bars are kept."""

import json
from pathlib import Path

from click.testing import CliRunner

from acclimate_tools.bench import local


def test_every_agent_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "local.json"
    result = CliRunner().invoke(local.main, ["--out", str(out), "--requests", "100"])
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["agents"].keys() == local.ARMS.keys()
    one = found["agents"]["single learner"]
    assert 0 < one["median_ms"] <= one["p99_ms"]
    kept = one["median_ms"] <= local.MOST_MEDIAN_MS and one["requests_per_s"] >= local.LEAST_PER_S
    assert found["bars"]["kept"] == kept
