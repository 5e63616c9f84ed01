"""Read which operators, opsets, inputs and outputs an ONNX model has, without the ``onnx`` package.

A minimal reader of the protobuf wire format: it walks the messages of ``_MESSAGES`` and skips the rest by length. Types
and shapes are left to the runtime. It raises nothing but ``PackageError``; levels and fields are counted, which bounds
its work. A field that comes twice is merged, or the last one wins, as in protobuf: the runtime sees the same graph.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from acclimate_shared.errors import GraphError, UnsupportedOpError

MAX_DEPTH = 64  # messages within messages; a graph inside a graph takes three
MAX_FIELDS = 2_000_000  # protobuf fields of one model

# message: {field number of onnx.proto: the message inside, "=text", "#number", or "!" and what is refused}
_MESSAGES = {
    "model": {7: "graph", 8: "opset", 20: "!training information", 25: "!functions of its own"},
    "graph": {1: "node", 5: "tensor", 11: "input", 12: "output", 15: "!sparse tensors"},
    "node": {4: "=op_type", 5: "attribute", 7: "=domain"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "!sparse tensors", 23: "!sparse tensors"},
    "tensor": {13: "!tensors in other files", 14: "#location"},
    "opset": {1: "=domain", 2: "#version"},
    "input": {1: "=name"},
    "output": {1: "=name"},
}
_VARINT, _BYTES = 0, 2
_FIXED_BYTES = {1: 8, 5: 4}  # wire type: size
_REMEDY = "author the package again"


@dataclass(slots=True)
class GraphSummary:
    """What a model is made of; the standard domain is "", inputs and outputs are those of the main graph."""

    ops: Counter[tuple[str, str]] = field(default_factory=Counter)  # (domain, operator): count
    opsets: dict[str, int] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    graphs: int = 0
    fields_left: int = MAX_FIELDS


def summarise(model: bytes) -> GraphSummary:
    """Summarise a serialised ``ModelProto``, the bodies of Scan, Loop and If included.

    Raises:
        GraphError: If the bytes are not a model with one graph, or one that is nested too deep or has too many fields.
        UnsupportedOpError: If it has functions of its own, training information, sparse or external tensors.
    """
    summary = GraphSummary()
    _walk("model", memoryview(model), 0, summary)
    if summary.graphs != 1:
        raise GraphError("this is not an ONNX model with one graph", remedy=_REMEDY)
    return summary


def _walk(message: str, data: memoryview, depth: int, summary: GraphSummary) -> None:
    if depth > MAX_DEPTH:
        raise GraphError("the model is nested too deep", field="depth", value=depth, remedy=_REMEDY)
    texts, numbers = {"domain": "", "op_type": "", "name": ""}, {"version": 0, "location": 0}
    for what, value in _fields(_MESSAGES[message], data, summary):
        if isinstance(value, int):
            numbers[what[1:]] = value
        elif what[0] == "!":
            raise UnsupportedOpError("the model has " + what[1:], remedy="author the package again without them")
        elif what[0] == "=":
            texts[what[1:]] = _text(value)
        else:
            _walk(what, value, depth + 1, summary)
    domain = "" if texts["domain"] == "ai.onnx" else texts["domain"]
    if message == "node":
        summary.ops[domain, texts["op_type"]] += 1
    elif message == "opset":
        summary.opsets[domain] = numbers["version"]
    elif message in {"input", "output"} and depth == 2:  # noqa: PLR2004 - model, graph, input
        (summary.inputs if message == "input" else summary.outputs).append(texts["name"])
    summary.graphs += message == "graph" and depth == 1
    if numbers["location"]:
        raise UnsupportedOpError("the model has tensors in other files", remedy="store the tensors in the graph")


def _fields(wanted: dict[int, str], data: memoryview, summary: GraphSummary) -> Iterator[tuple[str, memoryview | int]]:
    """Yield the wanted fields of one message; refuse one of them that comes as another wire type."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        what, value = wanted.get(number, ""), memoryview(b"")
        summary.fields_left -= 1
        if kind == _VARINT:
            scalar, at = _varint(data, at)
        else:
            size, at = _varint(data, at) if kind == _BYTES else (_FIXED_BYTES.get(kind, end + 1), at)
            value, at = data[at : at + size], at + size
        wrong_type = what and kind != (_VARINT if what[0] == "#" else _BYTES)
        if at > end or wrong_type or not 0 < number < 1 << 29 or summary.fields_left < 0:
            raise GraphError(
                "this is not an ONNX model, or damaged, or too large", field="byte", value=at, remedy=_REMEDY
            )
        if what:
            yield what, scalar if kind == _VARINT else value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    if at < len(data) and data[at] <= 0x7F:  # noqa: PLR2004 - most have one byte
        return data[at], at + 1
    result = 0
    for place, byte in enumerate(data[at : at + 10]):
        result |= (byte & 0x7F) << (7 * place)
        if byte <= 0x7F:  # noqa: PLR2004 - the last byte has its high bit clear
            return result & (1 << 64) - 1, at + place + 1
    raise GraphError("this is not an ONNX model, or damaged", field="byte", value=at, remedy=_REMEDY)


def _text(value: memoryview) -> str:
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError as exc:
        raise GraphError("a name in the model is not UTF-8", remedy=_REMEDY) from exc
