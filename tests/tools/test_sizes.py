from pathlib import Path

import pytest

from acclimate_tools.sizes import MAX_FUNCTION_LINES, MAX_MODULE_LINES, main, offenders


def function(lines: int) -> str:
    return "def long_one() -> None:\n" + "    x = 1\n" * (lines - 1)


def test_accepts_what_is_just_small_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text(function(MAX_FUNCTION_LINES) + "#\n" * (MAX_MODULE_LINES - MAX_FUNCTION_LINES))
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


def test_names_a_long_function_and_a_long_module(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sub" / "b.py"
    path.parent.mkdir()
    path.write_text(function(MAX_FUNCTION_LINES + 1) + "#\n" * MAX_MODULE_LINES)
    assert main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert f"{path}:1: module has 461 lines" in out
    assert f"{path}:1: long_one has 61 lines" in out


def test_counts_methods_and_nested_and_async_functions(tmp_path: Path) -> None:
    body = "            x = 1\n" * 60
    path = tmp_path / "c.py"
    path.write_text(f"class A:\n    async def f(self):\n        def g():\n{body}")
    assert len(list(offenders(path))) == 2
