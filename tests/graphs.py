"""A tiny learner built by hand for tests: it counts classes and sums features.

``predict`` gives (count + 1) / sum to every row; ``update`` adds ``rate * w`` to the count of the label and every row
of x to ``total``. Its textual graphs are easy to break on purpose.
"""

import msgspec
from onnx import parser

from acclimate_shared.learner import LearnerPackage, make_package
from acclimate_shared.manifest import HyperSpec, Manifest, TensorSpec

HEAD = '<ir_version: 10, opset_import: ["" : 20]>'
FORWARD = """
    one = Constant<value = float {1.0}>()
    smoothed = Add(count, one)
    sum = ReduceSum<keepdims = 1>(smoothed)
    share = Div(smoothed, sum)
    rows = Shape<start = 0, end = 1>(x)
    classes = Shape(count)
    shape = Concat<axis = 0>(rows, classes)
"""
PREDICT = f"""{HEAD}
predict (float[classes] count, double[features] total, double[rows, features] x) => (float[rows, classes] out) {{
    {FORWARD}
    out = Expand(share, shape)
}}"""
UPDATE = f"""{HEAD}
update (float[classes] count, double[features] total,
        double[rows, features] x, int64[rows] y, float[rows] w, float[1] hyper)
    => (float[classes] count__next, double[features] total__next, float[rows, classes] before, float loss) {{
    {FORWARD}
    before = Expand(share, shape)
    values = Constant<value = float[2] {{0.0, 1.0}}>()
    hot = OneHot<axis = -1>(y, classes, values)
    first = Constant<value = int64[1] {{0}}>()
    second = Constant<value = int64[1] {{1}}>()
    column = Unsqueeze(w, second)
    weighted = Mul(hot, column)
    added = ReduceSum<keepdims = 0>(weighted, first)
    scaled = Mul(added, hyper)
    count__next = Add(count, scaled)
    sums = ReduceSum<keepdims = 0>(x, first)
    total__next = Add(total, sums)
    loss = ReduceMean<keepdims = 0>(w)
}}"""
MANIFEST = Manifest(
    name="counter",
    task="classification",
    opset=20,
    x=TensorSpec(name="x", dtype="float64", shape=("rows", "features")),
    state=(
        TensorSpec(name="count", dtype="float32", shape=("classes",)),
        TensorSpec(name="total", dtype="float64", shape=("features",)),
    ),
    hyper=(HyperSpec(name="rate", default=1.0, low=0.0, high=10.0),),
)


def model(text: str) -> bytes:
    """Return the serialised model of a textual graph."""
    return bytes(parser.parse_model(text).SerializeToString())


def counter(*, predict: str = PREDICT, update: str = UPDATE, **changes: object) -> LearnerPackage:
    """Return the package, with other graphs or other fields of the manifest."""
    manifest = msgspec.structs.replace(MANIFEST, **changes)
    return make_package(manifest, predict=model(predict), update=model(update))
