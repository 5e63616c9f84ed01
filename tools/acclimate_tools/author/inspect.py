"""What a package costs: bytes, operators, floating-point operations and milliseconds a step."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from acclimate_device.executor import Learner
from acclimate_shared.learner import LearnerPackage
from acclimate_shared.onnx_ops import summarise

EXAMPLE = {"features": 16, "classes": 4, "fourier": 60, "phi": 77, "hidden": 64, "slots": 1000, "members": 8}
TIMED_CALLS = 200


def describe(package: LearnerPackage) -> dict[str, Any]:
    """Return what a package is and costs, at its fixed sizes or at EXAMPLE ones; times are the best of TIMED_CALLS."""
    manifest = package.manifest
    learner = Learner(package)
    names = {dim for spec in (*manifest.state, manifest.x) for dim in spec.shape if isinstance(dim, str)} - {"rows"}
    dims = {name: EXAMPLE.get(name, 8) for name in names}
    rows = manifest.max_rows or manifest.inner
    state = learner.init_state(dims, 0)
    x = np.random.default_rng(0).standard_normal((rows, *manifest.x.resolve({**dims, "rows": rows})[1:]))
    y = np.zeros(rows, np.int64 if manifest.task == "classification" else np.float64)
    w, hyper = np.ones(rows, np.float32), learner.hyper()
    ops: Counter[str] = Counter()
    for graph in (package.predict, package.update):
        for (_, op), count in summarise(graph).ops.items():
            ops[op] += count
    return {
        "name": manifest.name,
        "task": manifest.task,
        "about": manifest.about,
        "digest": package.digest,
        "holds_rows": manifest.holds_rows,
        "sizes": {**dims, "rows": rows},
        "graph_bytes": len(package.predict) + len(package.update),
        "state_bytes": sum(array.nbytes for array in state.values()),
        "operators": dict(ops.most_common()),
        "flops_per_step": flops(package.update, {**state, "x": x, "y": y, "w": w, "hyper": hyper}),
        "ms_per_step": _best_ms(lambda: learner.update(state, x, y, w, hyper)),
        "ms_per_answer": _best_ms(lambda: learner.predict(state, x[:1])),
    }


def _best_ms(call: Any) -> float:  # noqa: ANN401 (any function without arguments)
    times = []
    for _ in range(TIMED_CALLS):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return min(times) * 1e3


def flops(graph: bytes, feed: Mapping[str, np.ndarray[Any, Any]]) -> int:
    """Return the multiplications and additions of a graph's matrix products and convolutions for given inputs."""
    model = onnx.load_from_string(graph)
    for port in model.graph.input:
        for dim, size in zip(port.type.tensor_type.shape.dim, feed[port.name].shape, strict=True):
            dim.Clear()
            dim.dim_value = size
    del model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        for info in (*inferred.value_info, *inferred.input, *inferred.output)
    } | {tensor.name: list(tensor.dims) for tensor in inferred.initializer}
    return sum(_node_flops(node, shapes) for node in inferred.node)


def _node_flops(node: onnx.NodeProto, shapes: Mapping[str, list[int]]) -> int:
    if node.op_type not in {"MatMul", "Gemm", "Conv", "ConvTranspose"}:
        return 0
    out, weight = shapes.get(node.output[0]), shapes.get(node.input[1])
    left = shapes.get(node.input[0])
    if not out or not weight or not left:
        return 0
    if node.op_type == "MatMul":
        return 2 * int(np.prod(out)) * left[-1]
    if node.op_type == "Gemm":
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return 2 * int(np.prod(out)) * left[0 if transposed else -1]
    if node.op_type == "Conv":
        return 2 * int(np.prod(out)) * int(np.prod(weight[1:]))
    return 2 * int(np.prod(left)) * int(np.prod(weight[1:]))
