import contextlib

import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, defs, helper

from acclimate_shared.errors import GraphError, PackageError, UnsupportedOpError
from acclimate_shared.onnx_ops import GraphSummary, summarise
from acclimate_shared.onnx_standard import DEPRECATED_OPS, MAX_OPSET, RANDOM_OPS, STANDARD_OPS, check_ops
from tests.graphs import UPDATE, model

GOOD = model(UPDATE)


def wrap(nodes: list[onnx.NodeProto], **fields: object) -> onnx.ModelProto:
    out = [helper.make_tensor_value_info("o", TensorProto.FLOAT, [])]
    return helper.make_model(helper.make_graph(nodes, "g", [], out), **fields)


def nested(depth: int) -> bytes:
    node = helper.make_node("Neg", ["a"], ["o"])
    for _ in range(depth):
        node = helper.make_node("If", ["c"], ["o"], then_branch=helper.make_graph([node], "b", [], []))
    return bytes(wrap([node]).SerializeToString())


def test_counts_operators_and_names_ports() -> None:
    found = summarise(GOOD)
    assert found.opsets == {"": 20}
    assert found.inputs == ["count", "total", "x", "y", "w", "hyper"]
    assert found.outputs == ["count__next", "total__next", "before", "loss"]
    expected = [node.op_type for node in onnx.load_from_string(GOOD).graph.node]
    assert sorted(found.ops.elements()) == sorted(("", op) for op in expected)


def test_looks_into_subgraphs_but_not_for_ports() -> None:
    found = summarise(nested(5))
    assert found.ops == {("", "If"): 5, ("", "Neg"): 1}
    assert found.outputs == ["o"]


def test_both_names_of_the_standard_domain_are_one() -> None:
    node = helper.make_node("Neg", ["a"], ["o"], domain="ai.onnx")
    opset = [helper.make_opsetid("ai.onnx", 20)]
    found = summarise(wrap([node], opset_imports=opset).SerializeToString())
    assert (found.opsets, list(found.ops)) == ({"": 20}, [("", "Neg")])


def test_refuses_what_nests_too_deep() -> None:
    with pytest.raises(GraphError, match="nested too deep"):
        summarise(nested(25))


def test_refuses_functions_training_sparse_and_external() -> None:
    function = wrap([])
    function.functions.append(helper.make_function("d", "f", ["a"], ["b"], [], [helper.make_opsetid("", 20)]))
    training = wrap([])
    training.training_info.add()
    sparse = wrap([])
    sparse.graph.sparse_initializer.add()
    sparse_value = wrap([helper.make_node("Constant", [], ["o"])])
    sparse_value.graph.node[0].attribute.add().sparse_tensor.SetInParent()
    external = wrap([])
    external.graph.initializer.add().data_location = TensorProto.EXTERNAL
    with_path = wrap([helper.make_node("Constant", [], ["o"])])
    with_path.graph.node[0].attribute.add().t.external_data.add(key="location", value="/etc/passwd")
    for bad in (function, training, sparse, sparse_value, external, with_path):
        with pytest.raises(UnsupportedOpError):
            summarise(bad.SerializeToString())


@pytest.mark.parametrize("data", [b"", b"\x00", b"PK\x03\x04", b"\xff" * 64, GOOD[:-1], GOOD + GOOD])
def test_refuses_what_is_not_one_model(data: bytes) -> None:
    with pytest.raises(GraphError):
        summarise(data)


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_any_bytes_give_a_summary_or_a_package_error(data: bytes) -> None:
    with contextlib.suppress(PackageError):
        summarise(data)


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6))
@settings(max_examples=300)
def test_a_damaged_model_gives_a_summary_or_a_package_error(changes: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD)
    for at, byte in changes:
        data[at] = byte
    with contextlib.suppress(PackageError):
        check_ops(summarise(bytes(data)), 20, "update.onnx")


@given(st.integers(0, len(GOOD) - 1))
def test_never_sees_fewer_operators_than_protobuf(cut: int) -> None:
    # Two copies of a field, cut anywhere: whatever protobuf accepts, we refuse or see at least as much of.
    data = GOOD[:cut] + GOOD
    try:
        ours = summarise(data)
    except PackageError:
        return
    try:
        theirs = onnx.load_from_string(data)
    except DecodeError:
        return
    assert set(ours.ops) >= {(node.domain, node.op_type) for node in theirs.graph.node}


@pytest.mark.slow
def test_many_tiny_fields_are_bounded() -> None:
    with pytest.raises(GraphError, match="too large"):
        summarise(b"\x08\x00" * 2_000_001)


@pytest.mark.parametrize(
    ("domain", "op", "why"),
    [
        ("com.microsoft", "FusedMatMul", "another domain"),
        ("ai.onnx.ml", "Scaler", "another domain"),
        ("", "RandomNormal", "random"),
        ("", "Upsample", "deprecated"),
        ("", "ParametricSoftplus", "not standard"),
    ],
)
def test_refuses_operators_outside_the_set(domain: str, op: str, why: str) -> None:
    graph = GraphSummary()
    graph.opsets[""] = 20
    graph.ops[domain, op] = 1
    with pytest.raises(UnsupportedOpError, match=why):
        check_ops(graph, 20, "update.onnx")


@pytest.mark.parametrize(("opsets", "declared"), [({}, 20), ({"": 17}, 17), ({"": 24}, 24), ({"": 20}, 21)])
def test_refuses_other_opsets(opsets: dict[str, int], declared: int) -> None:
    with pytest.raises(UnsupportedOpError):
        check_ops(GraphSummary(opsets=opsets), declared, "update.onnx")


def test_the_list_of_operators_is_that_of_onnx() -> None:
    newest: dict[str, onnx.defs.OpSchema] = {}
    for schema in defs.get_all_schemas_with_history():
        known = newest.get(schema.name)
        if not schema.domain and schema.since_version <= MAX_OPSET:
            newest[schema.name] = max(schema, known or schema, key=lambda one: one.since_version)
    assert {name for name, schema in newest.items() if schema.deprecated} == DEPRECATED_OPS
    assert set(newest) == STANDARD_OPS | RANDOM_OPS | DEPRECATED_OPS
