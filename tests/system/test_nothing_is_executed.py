"""No code of the product turns data into code: no pickle, no eval, no loader that does either, wherever it may hide."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import acclimate_device
import acclimate_hub
import acclimate_shared

PACKAGES = [Path(str(module.__file__)).parent for module in (acclimate_shared, acclimate_device, acclimate_hub)]
MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "yaml",
    "code",
    "codeop",
}
CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}
METHODS = {"loads_pickle", "read_pickle", "to_pickle", "load_module", "exec_module", "run_path", "run_module"}
NUMPY = {"load", "save", "savez", "savez_compressed", "fromregex"}  # they may pickle
WORDS = {"allow_pickle", "shell"}  # arguments, unless they are False


def found(source: str) -> Iterator[str]:
    """Yield what in a source could execute data."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").split(".")[0] in MODULES:
                yield node.module or ""
            yield from (name.name for name in node.names if name.name in MODULES)
        elif isinstance(node, ast.Call):
            yield from _called(node)


def _called(node: ast.Call) -> Iterator[str]:
    if isinstance(node.func, ast.Name) and node.func.id in CALLS:
        yield node.func.id
    if isinstance(node.func, ast.Attribute):
        owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
        if node.func.attr in METHODS or (owner in {"np", "numpy"} and node.func.attr in NUMPY):
            yield f"{owner}.{node.func.attr}"
        if (owner, node.func.attr) in {("builtins", "eval"), ("builtins", "exec"), ("os", "system"), ("os", "popen")}:
            yield f"{owner}.{node.func.attr}"
        if node.func.attr == "import_module" and not all(isinstance(arg, ast.Constant) for arg in node.args):
            yield "import_module of a name that is made"
    for word in node.keywords:
        if word.arg in WORDS and not (isinstance(word.value, ast.Constant) and word.value.value is False):
            yield str(word.arg)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_nothing_executes_data(package: Path) -> None:
    sources = sorted(package.rglob("*.py"))
    assert len(sources) > 10
    guilty = {str(path.relative_to(package)): list(found(path.read_text("utf-8"))) for path in sources}
    assert {path: what for path, what in guilty.items() if what} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from pickle import loads", "import joblib.numpy_pickle", "eval(text)", "exec(code)",
        "np.load(path)", "numpy.load(path, allow_pickle=True)", "f(allow_pickle=flag)", "subprocess.run(x, shell=True)",
        "os.system(text)", "builtins.eval(text)", "importlib.import_module(name)", "runpy.run_path(path)",
    ],
)  # fmt: skip
def test_it_finds_what_would(source: str) -> None:
    assert list(found(source))


def test_it_finds_nothing_else() -> None:
    assert list(found("np.frombuffer(data)\nf(allow_pickle=False)\nre.compile('x')\nmodel.eval\nstore.load()")) == []
