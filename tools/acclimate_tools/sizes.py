"""Keep modules and functions small: no module over 400 lines, no function over 60, tests included.

Run as ``python -m acclimate_tools.sizes FOLDER...``; prints one line an offender and exits with 1 if there is any.
A function is counted from its ``def`` to its last line, docstring included, decorators not.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60


def offenders(path: Path) -> Iterator[str]:
    """Yield one line of text for the module if it is too long and for each of its functions that is.

    Args:
        path: A Python file in UTF-8.

    Yields:
        Text of the form ``path:line: what has N lines, the limit is M``.

    Raises:
        SyntaxError: If the file is not Python.
    """
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    if lines > MAX_MODULE_LINES:
        yield f"{path}:1: module has {lines} lines, the limit is {MAX_MODULE_LINES}"
    for node in ast.walk(ast.parse(text, filename=str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines, the limit is {MAX_FUNCTION_LINES}"


def main(folders: list[str]) -> int:
    """Check every Python file under the folders.

    Returns:
        The exit code: 0 if all are small enough, 1 otherwise.

    Raises:
        SyntaxError: If a file is not Python.
    """
    found = [line for folder in folders for path in sorted(Path(folder).rglob("*.py")) for line in offenders(path)]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
