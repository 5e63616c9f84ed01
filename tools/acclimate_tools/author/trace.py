"""From torch functions to plain ONNX graphs with symbolic sizes.

Steps, each of which is there for a reason:

1. ``make_fx`` with symbolic shapes runs the function once and records it as ATen operators, gradients of
   ``torch.func.grad`` included; decompositions bring them down to the core set.
2. ``torch.export`` of that recording, with every symbolic dim automatic, so that torch itself finds the relations
   between sizes (the covariance of recursive least squares has 1 + features + fourier rows).
3. ``torch.onnx.export`` with ``optimize=False``: its optimiser takes ``+ 1e-8`` for ``+ 0`` and drops it.
4. onnxruntime's basic level folds constants and removes dead nodes, which keeps standard operators and all values.
5. Names, comments and stack traces are dropped: the same source gives the same bytes.
"""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence

import onnx
import torch
from onnx import helper
from torch import Tensor, nn
from torch._decomp import core_aten_decompositions
from torch.export import Dim
from torch.fx.experimental.proxy_tensor import make_fx

from acclimate_device.executor import fold_constants
from acclimate_shared.manifest import NEXT, TensorSpec
from acclimate_tools.author.convolution import convolution_backward
from acclimate_tools.author.source import Source

OPSET = 18
DTYPES = {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64}


class _Recorded(nn.Module):
    """A recorded graph as a module, the form that torch.export takes."""

    def __init__(self, graph: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, *args: Tensor) -> tuple[Tensor, ...]:
        return self.graph(*args)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' notices about themselves out of the terminal."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def example(spec: TensorSpec, source: Source, generator: torch.Generator) -> Tensor:
    """Return a tensor of the declared dtype and example size, positive and away from 0."""
    shape = spec.resolve(source.dims)
    if spec.name in source.tensors:
        return source.tensors[spec.name].clone()
    if spec.dtype == "int64":
        return torch.zeros(shape, dtype=torch.int64)
    if spec.init.kind == "eye":
        return torch.eye(shape[-1], dtype=DTYPES[spec.dtype])
    return torch.rand(shape, dtype=DTYPES[spec.dtype], generator=generator) + 0.5


def step_inputs(source: Source, generator: torch.Generator) -> dict[str, Tensor]:
    """Return example x, y, w and hyper."""
    rows = source.dims["rows"]
    y = torch.zeros(rows, dtype=torch.int64 if source.task == "classification" else torch.float64)
    hyper = torch.tensor([h.default for h in source.hyper], dtype=torch.float32)
    return {"x": example(source.x, source, generator), "y": y, "w": torch.ones(rows), "hyper": hyper}


LANES = 9  # example size of the axis of lanes, unlike any other


def trace(source: Source) -> tuple[bytes, bytes]:
    """Return the serialised ``predict`` and ``update`` models of a source.

    Raises:
        ValueError: ``update`` does not return every declared tensor, or changes a shape.
        torch.onnx.OnnxExporterError: an operator has no ONNX form.
    """
    generator = torch.Generator().manual_seed(0)
    names = [spec.name for spec in source.state]
    tensors = [example(spec, source, generator) for spec in source.state]
    step = step_inputs(source, generator)
    dynamic = [_dynamic(spec.shape, source) for spec in (*source.state, source.x)]

    def predict(*args: Tensor) -> tuple[Tensor, ...]:
        return (source.predict(dict(zip(names, args, strict=False)), args[-1]),)

    model = _export(predict, [*tensors, step["x"]], [*names, "x"], ["out"], dynamic)
    dynamic = [*dynamic, {0: Dim.AUTO}, {0: Dim.AUTO}, {}]  # y, w, hyper
    if source.lanes:
        tensors = [torch.stack([tensor] * LANES) for tensor in tensors]
        step = {name: t if name == "w" else torch.stack([t] * LANES) for name, t in step.items()}
        w = len(dynamic) - 2
        dynamic = [d if i == w else {0: Dim.AUTO, **{at + 1: d[at] for at in d}} for i, d in enumerate(dynamic)]
    return model, _export_update(source, tensors, step, dynamic)


def _export_update(
    source: Source, tensors: list[Tensor], step: dict[str, Tensor], dynamic: Sequence[dict[int, object]]
) -> bytes:
    names = [spec.name for spec in source.state]

    def update(*args: Tensor) -> tuple[Tensor, ...]:
        state = dict(zip(names, args, strict=False))
        after, before, loss = source.update(state, *args[len(names) :])
        if set(after) != set(names):
            raise ValueError(f"update of {source.name} must return exactly its tensors: {set(after) ^ set(names)}")
        # an input that is returned as it came would alias: the copy keeps every output a tensor of its own
        return (*(after[n].clone() if after[n] is state[n] else after[n] for n in names), before, loss)

    outputs = [*(n + NEXT for n in names), "before", "loss"]
    return _export(update, [*tensors, *step.values()], [*names, *step], outputs, dynamic)


def _dynamic(shape: Sequence[int | str], source: Source) -> dict[int, object]:
    free = {"rows", *source.symbolic}
    return {i: Dim.AUTO for i, dim in enumerate(shape) if dim in free}


def _export(
    function: Callable[..., tuple[Tensor, ...]],
    args: list[Tensor],
    inputs: list[str],
    outputs: list[str],
    dynamic: Sequence[dict[int, object]],
) -> bytes:
    table = {
        **core_aten_decompositions(),
        torch.ops.aten.convolution_backward.default: convolution_backward,
        torch.ops.aten.threshold_backward.default: _threshold_backward,
    }
    with _quiet():
        recorded = make_fx(function, decomposition_table=table, tracing_mode="symbolic")(*args)
        program = torch.export.export(_Recorded(recorded), tuple(args), dynamic_shapes=(tuple(dynamic),), strict=False)
        exported = torch.onnx.export(
            program,
            tuple(args),
            dynamo=True,
            opset_version=OPSET,
            optimize=False,
            verbose=False,
            input_names=inputs,
            output_names=outputs,
        )
        if exported is None:
            raise ValueError("torch.onnx.export returned nothing")
        return _tidy(onnx.load_from_string(fold_constants(_tidy(exported.model_proto))))


def _threshold_backward(gradient: Tensor, x: Tensor, threshold: float) -> Tensor:
    """Return the gradient where ``x`` is above the threshold, as a product: onnxruntime's Where is far slower."""
    return gradient * (x > threshold).to(gradient.dtype)


def _tidy(model: onnx.ModelProto) -> bytes:
    """Return the model without names, comments and inferred shapes, importing only the standard domain."""
    graph = model.graph
    for i, node in enumerate(graph.node):
        node.name, node.doc_string = f"n{i}", ""
        del node.metadata_props[:]
    for holder in (*graph.initializer, *graph.input, *graph.output, graph, model):
        del holder.metadata_props[:]
    del graph.value_info[:]
    graph.name, graph.doc_string, model.doc_string = "learner", "", ""
    model.producer_name, model.producer_version = "acclimate", ""
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))
    data: bytes = model.SerializeToString(deterministic=True)
    return data
