"""Run learners: the only file that touches onnxruntime.

``Learner`` joins the two graphs of a package to states that live outside of it: ``predict`` reads a state, ``update``
returns a new one. Nothing is kept between calls, so one learner serves any number of states and threads. Each graph
runs on one thread, in a fixed order: the same input gives the same bits.

onnxruntime is imported when the first learner is made, with its usage telemetry switched off before; its errors become
ours here. A prediction may contain NaN if the learner has diverged; to judge that is left to the caller.

See ``acclimate_device.states`` for how states are made, ``acclimate_device.contract`` for what graphs must look like.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acclimate_device import contract, states
from acclimate_device.states import State
from acclimate_shared.errors import (
    ExecutionError,
    GraphError,
    PackageError,
    ShapeError,
    UnsupportedOpError,
    UsageError,
)
from acclimate_shared.learner import LearnerPackage
from acclimate_shared.manifest import NEXT, TensorSpec

__all__ = ["Learner", "State", "fold_constants"]

_Stepped = tuple[list[State], NDArray[Any], NDArray[np.float64]]

#: The arena grows by what is asked for, without limit.
_ARENA = {
    "max_mem": 0,
    "arena_extend_strategy": 1,
    "initial_chunk_size_bytes": -1,
    "max_dead_bytes_per_chunk": -1,
}
_FLOAT64, _FLOAT32 = np.dtype(np.float64), np.dtype(np.float32)


@lru_cache(maxsize=1)
def _runtime() -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Import onnxruntime with its telemetry off (the variable works only before the import), and one arena for all."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    # Left to malloc, the scratch memory of a step stays scattered over its heaps: 20 MiB more with 128 features.
    memory = native.OrtMemoryInfo("Cpu", native.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, native.OrtMemType.DEFAULT)
    onnxruntime.create_and_register_allocator(memory, native.OrtArenaCfg(_ARENA))
    return onnxruntime


class Learner:
    """A learner package, ready to run.

    Attributes:
        package: What it was made from.
        manifest: Of the package.
        digest: Of the package, 64 hex digits.
    """

    def __init__(self, package: LearnerPackage, *, answers: int = 0) -> None:
        """Load both graphs and check that they take and give what the manifest declares.

        Args:
            package: A verified package (``load_package`` and ``make_package`` verify).
            answers: Rows that its predict graph is known to answer in one call, where that is more than ``max_rows``.

        Raises:
            GraphError: If onnxruntime cannot load a graph.
            UnsupportedOpError: If it has no kernel for an operator.
            ManifestError: If inputs or outputs are missing, or are more than the manifest declares.
            ShapeError: If an input or output has another dtype or shape.
        """
        self.package = package
        self.manifest = manifest = package.manifest
        self.digest = package.digest
        predict, update = _load(package.predict, "predict.onnx"), _load(package.update, "update.onnx")
        contract.check_predict(manifest, predict.get_inputs(), predict.get_outputs())
        contract.check_update(manifest, update.get_inputs(), update.get_outputs())
        state = contract.state_specs(manifest)
        self._sessions = predict, update
        # The C++ session itself: onnxruntime's Python wrapper would check the names again at every call.
        self._run_predict, self._run_update = predict._sess.run, update._sess.run  # noqa: SLF001
        self._predict_state = [port.name for port in predict.get_inputs() if port.name in state]
        self._update_state = [port.name for port in update.get_inputs() if port.name in state]
        self._step_names = frozenset(port.name for port in update.get_inputs()) - state.keys()
        self._state_names = list(state)
        self._update_outputs = [*(name + NEXT for name in state), "before", "loss"]
        self._x_rank = len(manifest.x.shape)
        self._step_specs = contract.step_specs(manifest)
        self._y_dtype = np.dtype(self._step_specs["y"].dtype)
        self._max_rows = manifest.max_rows
        self._most_answered = manifest.max_rows and max(manifest.max_rows, answers)

    def init_state(self, dims: Mapping[str, int], seed: int) -> State:
        """Return the first state; see ``states.init_state``.

        Raises:
            ShapeError: If a size is missing, disagrees with the package, or is too large.
        """
        return states.init_state(self.package, dims, seed)

    def grow(self, state: State, dim: str, size: int) -> State:
        """Return a state with a longer dim, e.g. when a new class appears; see ``states.grow``.

        Raises:
            ValueError: If the size would shrink the dim, or no tensor has it.
            ShapeError: If the state is not one of this learner, or becomes too large.
        """
        return states.grow(self.manifest, state, dim, size)

    def dims(self, state: State) -> dict[str, int]:
        """Return the sizes of the named dims, checking the whole state.

        Raises:
            ShapeError: If the state is not one of this learner.
        """
        return states.dims_of(self.manifest, state)

    def hyper(self, **overrides: float) -> NDArray[np.float32]:
        """Return the hyper-parameters in the order of the manifest, (H,) float32.

        Raises:
            UsageError: If a name is unknown or a value outside its range.
        """
        specs = {spec.name: spec for spec in self.manifest.hyper}
        for name, value in overrides.items():
            if name not in specs:
                remedy = f"use one of {', '.join(specs) or 'none: the learner has no hyper-parameters'}"
                raise UsageError(f"{self.manifest.name} has no such hyper-parameter", field=name, remedy=remedy)
            if not specs[name].low <= value <= specs[name].high:
                remedy = f"use {specs[name].low:g} to {specs[name].high:g}"
                raise UsageError("the hyper-parameter is out of range", field=name, value=value, remedy=remedy)
        values = np.array([overrides.get(name, spec.default) for name, spec in specs.items()], np.float32)
        values.setflags(write=False)
        return values

    def operations(self, state: State) -> int:
        """Return how many numbers of a state go into one answer: about its multiplications, by the graph itself."""
        return sum(int(state[name].size) for name in self._predict_state)

    def numbers(self, state: State) -> list[NDArray[Any]]:
        """Return the tensors of a state; of rows as they came, which have gaps, what is there, (values,)."""
        rows = {spec.name for spec in self.manifest.state if self.manifest.raw(spec)}
        return [array[~np.isnan(array)] if name in rows else array for name, array in state.items()]

    def predict(self, state: State, x: NDArray[np.float64]) -> NDArray[Any]:
        """Predict.

        Args:
            state: Of this learner; only read.
            x: (rows, features) float64, NaN = missing, rows >= 1.

        Returns:
            Classification: (rows, classes) float32 probabilities. Regression: (rows,) float64 in target units.

        Raises:
            ShapeError: If ``x`` or the state does not fit.
            ExecutionError: If the graph fails while it runs.
        """
        if x.dtype != _FLOAT64 or x.ndim != self._x_rank or not len(x):
            raise _wrong("x", x, self.manifest.x)
        if self._most_answered is not None and len(x) > self._most_answered:
            parts = range(0, len(x), self._most_answered)
            return np.concatenate([self.predict(state, x[at : at + self._most_answered]) for at in parts])
        try:
            feed = {name: state[name] for name in self._predict_state}
            feed["x"] = x
            out: NDArray[Any] = self._run_predict(["out"], feed, None)[0]
        except Exception as exc:
            raise _translated(exc, f"{self.manifest.name} cannot predict", ExecutionError) from exc
        return out

    def update(
        self,
        state: State,
        x: NDArray[np.float64],
        y: NDArray[Any],
        w: NDArray[np.float32],
        hyper: NDArray[np.float32],
    ) -> tuple[State, NDArray[Any], float]:
        """Learn from rows; more than ``max_rows`` are taken in several calls, in order.

        Args:
            state: Of this learner; only read.
            x: (rows, features) float64, NaN = missing, rows >= 1.
            y: (rows,) int64 class indices, or (rows,) float64 targets.
            w: (rows,) float32 weights; 0 masks a row.
            hyper: (H,) float32, from ``hyper``.

        Returns:
            The new state; what would have been predicted for each row before learning it, as ``predict`` returns it;
            the loss, averaged over the calls by weight.

        Raises:
            ShapeError: If an array or the state does not fit.
            ExecutionError: If the graph fails while it runs.
        """
        if x.ndim != self._x_rank or y.ndim != 1:
            raise _wrong("x" if x.ndim != self._x_rank else "y", x, self.manifest.x)
        states, before, loss = self.update_lanes((state,), x[None], y[None], w, hyper[None])
        return states[0], before[0], float(loss[0])

    def update_lanes(
        self,
        states: Sequence[State],
        x: NDArray[np.float64],
        y: NDArray[Any],
        w: NDArray[np.float32],
        hyper: NDArray[np.float32],
    ) -> tuple[list[State], NDArray[Any], NDArray[np.float64]]:
        """Let several states of equal sizes learn at once; far cheaper than one by one if the manifest says ``lanes``.

        Args:
            states: Of this learner; only read.
            x: (lanes, rows, features) float64, NaN = missing, rows >= 1.
            y: (lanes, rows) int64 class indices or float64 targets.
            w: (rows,) float32 weights; 0 masks a row.
            hyper: (lanes, H) float32, rows from ``hyper``.

        Returns:
            The new states; what each would have predicted for each row before learning it, (lanes, rows, ...); the
            losses (lanes,), averaged over the calls by weight.

        Raises:
            ShapeError: If an array or a state does not fit.
            ExecutionError: If the graph fails while it runs.
        """
        lanes, rows = len(states), x.shape[1]
        if x.dtype != _FLOAT64 or x.ndim != self._x_rank + 1 or not rows or len(x) != lanes:
            raise _wrong("x", x, self.manifest.x)
        if y.dtype != self._y_dtype or y.shape != (lanes, rows):
            raise _wrong("y", y, self._step_specs["y"])
        if w.dtype != _FLOAT32 or w.shape != (rows,):
            raise _wrong("w", w, self._step_specs["w"])
        if self._max_rows is None or rows <= self._max_rows:
            return self._step(states, {"x": x, "y": y, "w": w, "hyper": hyper})
        befores, loss, weight = [], np.zeros(lanes), 0.0
        for at in range(0, rows, self._max_rows):
            part = slice(at, at + self._max_rows)
            feed = {"x": x[:, part], "y": y[:, part], "w": w[part], "hyper": hyper}
            states, before, part_loss = self._step(states, feed)
            part_weight = float(w[part].sum())
            befores.append(before)
            loss, weight = loss + part_weight * part_loss, weight + part_weight
        return list(states), np.concatenate(befores, 1), loss / weight if weight else np.zeros(lanes)

    def _step(self, states: Sequence[State], feed: dict[str, NDArray[Any]]) -> _Stepped:
        """Let all lanes learn rows that fit into one call."""
        try:
            return (self._step_lanes if self.manifest.lanes is True else self._step_each)(states, feed)
        except PackageError:
            raise
        except Exception as exc:
            raise _translated(exc, f"{self.manifest.name} cannot learn", ExecutionError) from exc

    def _step_lanes(self, states: Sequence[State], feed: dict[str, NDArray[Any]]) -> _Stepped:
        """Run the update graph once, all lanes in one call."""
        stacked = _stack_of(states) or {name: np.stack([s[name] for s in states]) for name in self._update_state}
        after, before, loss = self._run(stacked, feed)
        for name, array in after.items():
            if array.shape[1:] != states[0][name].shape:
                raise ShapeError("the update changed the shape of a tensor", field=name, value=array.shape)
        following: list[State] = [_Lane(after, lane) for lane in range(len(states))]
        return following, before, np.asarray(loss, np.float64)

    def _step_each(self, states: Sequence[State], feed: dict[str, NDArray[Any]]) -> _Stepped:
        """Run the update graph once a lane."""
        following: list[State] = []
        befores, losses = [], []
        for lane, state in enumerate(states):
            own = {name: array if name == "w" else array[lane] for name, array in feed.items()}
            after, before, loss = self._run({name: state[name] for name in self._update_state}, own)
            for name, array in after.items():
                if array.shape != state[name].shape:
                    raise ShapeError("the update changed the shape of a tensor", field=name, value=array.shape)
            following.append(after)
            befores.append(before)
            losses.append(float(loss))
        return following, befores[0][None] if len(befores) == 1 else np.stack(befores), np.array(losses)

    def _run(self, state: State, feed: dict[str, NDArray[Any]]) -> tuple[dict[str, NDArray[Any]], NDArray[Any], Any]:
        """Run the update graph; return the next tensors (read-only), the answers before, the loss."""
        given = {name: feed[name] for name in self._step_names}
        for name in self._update_state:
            given[name] = state[name]
        *after, before, loss = self._run_update(self._update_outputs, given, None)
        for array in after:
            array.setflags(write=False)
        return dict(zip(self._state_names, after, strict=True)), before, loss


class _Lane(dict[str, NDArray[Any]]):
    """One of several states that learned together: views of the stacked tensors, which it remembers."""

    def __init__(self, stack: dict[str, NDArray[Any]], lane: int) -> None:
        super().__init__((name, array[lane]) for name, array in stack.items())
        self.stack, self.lane = stack, lane


def _stack_of(states: Sequence[State]) -> dict[str, NDArray[Any]] | None:
    """Return the tensors that ``states`` are views of, if they are all of those lanes in order; it saves the copy."""
    first = states[0]
    if not isinstance(first, _Lane) or len(next(iter(first.stack.values()))) != len(states):
        return None
    together = all(isinstance(s, _Lane) and s.stack is first.stack and s.lane == at for at, s in enumerate(states))
    return first.stack if together else None


def fold_constants(model: bytes) -> bytes:
    """Return the model with constants folded and dead nodes removed, as onnxruntime's basic level does it.

    That level uses standard operators only. It serves authoring: fewer nodes make a faster device.

    Raises:
        GraphError: If the model cannot be loaded.
    """
    runtime = _runtime()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 4
        try:
            runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as exc:
            raise _translated(exc, "the model cannot be loaded", GraphError) from exc
        return path.read_bytes()


def _load(model: bytes, name: str) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Return an ``InferenceSession`` that runs on the calling thread."""
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.enable_mem_pattern = False  # sizes vary; a plan for each would only be kept
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # what matters comes as an exception
    try:
        return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as exc:
        raise _translated(exc, f"{name} cannot be loaded", GraphError) from exc


def _translated(exc: Exception, message: str, otherwise: type[PackageError]) -> PackageError:
    """Return our error for one of onnxruntime's; they share no base but ``Exception`` and are told apart by name."""
    kinds: dict[str, type[PackageError]] = {
        "NotImplemented": UnsupportedOpError,
        "InvalidArgument": ShapeError if otherwise is ExecutionError else otherwise,
        "KeyError": ShapeError,
        "InvalidGraph": GraphError,
        "InvalidProtobuf": GraphError,
    }
    text = str(exc).replace("\n", " ")[:300]
    return kinds.get(type(exc).__name__, otherwise)(
        f"{message}: {text}", remedy="check the shapes, or author the package again"
    )


def _wrong(name: str, array: NDArray[Any], spec: TensorSpec) -> ShapeError:
    remedy = f"give {spec.dtype} of shape {spec.shape}, all with the same number of rows, at least one"
    return ShapeError(
        "an array does not fit the learner", field=name, value=f"{array.dtype} {array.shape}", remedy=remedy
    )
