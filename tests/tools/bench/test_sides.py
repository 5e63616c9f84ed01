from pathlib import Path

import pytest
from click.testing import CliRunner

from acclimate_tools.bench import sides


@pytest.fixture(autouse=True)
def streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "peers.json").write_text('{"delay0": {"occupancy": {"task": "classification"}}}')
    monkeypatch.setenv("ACCLIMATE_DATA", str(tmp_path))


def told(monkeypatch: pytest.MonkeyPatch, results: list[tuple[dict[str, int], float]]) -> tuple[int, str]:
    given = iter(results)
    monkeypatch.setattr(sides, "replayed", lambda *_: next(given))
    done = CliRunner().invoke(sides.main, [str(Path.cwd())])
    return done.exit_code, done.output


def test_the_same_results_are_told_with_what_they_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = told(monkeypatch, [({"right": 1}, 4.0), ({"right": 1}, 2.0)] * 2)
    assert (code, said.count("the same"), "x 0.500" in said.splitlines()[-1]) == (0, 2, True)


def test_another_result_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = told(monkeypatch, [({"right": 1}, 4.0), ({"right": 1}, 4.0), ({"right": 1}, 4.0), ({"right": 2}, 4.0)])
    assert (code, "DIFFERENT" in said, "1 results differ" in said) == (1, True, True)
