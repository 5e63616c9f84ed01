"""The standard learners as sources: every tensor, its size, how it starts; every hyper-parameter and its range."""

from acclimate_shared.manifest import HyperSpec, Init, TensorSpec
from acclimate_tools.author.heads import BLOCK
from acclimate_tools.author.source import NORMALISER, Source
from acclimate_tools.learners import knn, mlp, naive_bayes, pool, pools, rls, softmax

DIMS = {"rows": 5, "features": 7, "classes": 3, "fourier": 11, "phi": 19, "hidden": 13, "slots": 33, "members": 4}
FREE = ("features", "classes", "fourier", "phi", "hidden", "slots", "members")

Dims = tuple[int | str, ...]


def _f32(name: str, shape: Dims, init: Init | None = None) -> TensorSpec:
    return TensorSpec(name=name, dtype="float32", shape=shape, init=init or Init())


def _f64(name: str, shape: Dims, init: Init | None = None) -> TensorSpec:
    return TensorSpec(name=name, dtype="float64", shape=shape, init=init or Init())


SEEN = (_f32("class_seen", ("classes",)),)
TARGET = (
    _f64("target_count", (1,)),
    _f64("target_mean", (1,)),
    _f64("target_m2", (1,)),
    _f64("target_low", (1,), Init(kind="constant", value=1e300)),
    _f64("target_high", (1,), Init(kind="constant", value=-1e300)),
)
FORGETTING = HyperSpec(name="forgetting", default=0.999, low=0.5, high=1.0)
WAVES = HyperSpec(name="waves", default=1.0, low=0.0, high=10.0)
DOUBT = HyperSpec(name="doubt", default=2.0, low=1.0, high=100.0)
RATE = HyperSpec(name="rate", default=1.0, low=0.0, high=2.0)


def _rls(outputs: int | str) -> tuple[TensorSpec, ...]:
    # frequencies of standard deviation 0.5 * sqrt(6 / features): the kernel's width suits z-scores
    frequencies = Init(kind="normal", value=1.224744871391589, fan="features")
    return (
        _f64("frequencies", ("features", "fourier"), frequencies),
        _f64("phase", ("fourier",), Init(kind="uniform", value=6.283185307179586)),
        _f64("covariance", ("phi", "phi"), Init(kind="eye", value=1.0)),
        _f64("coefficients", ("phi", outputs)),
    )


def _layers(outputs: int | str) -> tuple[TensorSpec, ...]:
    def he(scale: float, fan: str) -> Init:
        return Init(kind="normal", value=scale * 1.4142135623730951, fan=fan)

    shapes: dict[str, tuple[Dims, Init]] = {
        "w1": (("features", "hidden"), he(1.0, "features")),
        "b1": (("hidden",), Init()),
        "w2": (("hidden", "hidden"), he(1.0, "hidden")),
        "b2": (("hidden",), Init()),
        "w3": (("hidden", outputs), he(0.1, "hidden")),
        "b3": ((outputs,), Init()),
    }
    parameters = tuple(_f32(name, shape, init) for name, (shape, init) in shapes.items())
    moments = tuple(_f32(f"{m}_{name}", shape) for m in "mv" for name, (shape, _) in shapes.items())
    return (*parameters, *moments, _f32("step", (1,)))


def _window(labels: TensorSpec) -> tuple[TensorSpec, ...]:
    window = TensorSpec(name="window", dtype="float64", shape=("slots", "features"), holds_rows=True)
    scaled = TensorSpec(name="scaled", dtype="float32", shape=("slots", "features"), holds_rows=True)
    return (window, scaled, labels, _f32("live", ("slots",)))


_CLASS_MOMENTS = tuple(_f64(name, ("classes", "features")) for name in ("class_count", "class_mean", "class_m2"))
_POOL_HYPER = (
    HyperSpec(name="forgetting", default=0.9995, low=0.5, high=1.0),
    HyperSpec(name="rate", default=0.3, low=0.0, high=100.0),
    HyperSpec(name="delay", default=0.0, low=0.0, high=1e9),
)
_SPARE = (HyperSpec(name="spare", default=0.0, low=0.0, high=0.0),)
_ERROR = (_f64("error_count", (1,)), _f64("error_scale", (1,)))
_LOG_WEIGHTS = (_f64("log_weights", ("members",)),)

SOURCES = (
    Source(
        name="softmax",
        task="classification",
        predict=softmax.predict,
        update=softmax.update,
        dims=DIMS,
        symbolic=FREE,
        about="Multinomial logistic regression, one normalised gradient step a row.",
        hyper=(RATE,),
        lanes=True,
        max_rows=BLOCK,
        state=(*NORMALISER, *SEEN, _f32("weight", ("features", "classes")), _f32("bias", ("classes",))),
    ),
    Source(
        name="rls",
        task="classification",
        predict=rls.predict_class,
        update=rls.update_class,
        dims=DIMS,
        symbolic=FREE,
        about="Recursive least squares over inputs and random Fourier features, with forgetting.",
        hyper=(FORGETTING, WAVES, DOUBT),
        lanes=True,
        max_rows=BLOCK,
        state=(*NORMALISER, *SEEN, *_rls("classes")),
    ),
    Source(
        name="rls",
        task="regression",
        predict=rls.predict_value,
        update=rls.update_value,
        dims=DIMS,
        symbolic=FREE,
        about="Recursive least squares over inputs and random Fourier features, robust to outliers.",
        hyper=(FORGETTING, WAVES),
        lanes=True,
        max_rows=BLOCK,
        state=(*NORMALISER, *TARGET, *_rls(1), *_ERROR),
    ),
    Source(
        name="mlp",
        task="classification",
        predict=mlp.predict_class,
        update=mlp.update_class,
        dims=DIMS,
        symbolic=FREE,
        about="Perceptron with two hidden layers and Adam.",
        hyper=(HyperSpec(name="rate", default=0.001, low=0.0, high=1.0),),
        state=(*NORMALISER, *SEEN, *_layers("classes")),
    ),
    Source(
        name="mlp",
        task="regression",
        predict=mlp.predict_value,
        update=mlp.update_value,
        dims=DIMS,
        symbolic=FREE,
        about="Perceptron with two hidden layers and Adam, for values of any scale.",
        hyper=(HyperSpec(name="rate", default=0.001, low=0.0, high=1.0),),
        state=(*NORMALISER, *TARGET, *_layers(1)),
    ),
    Source(
        name="naive-bayes",
        task="classification",
        predict=naive_bayes.predict,
        update=naive_bayes.update,
        dims=DIMS,
        about="Gaussian naive Bayes with forgetting.",
        hyper=(FORGETTING,),
        symbolic=FREE,
        state=(*NORMALISER, *SEEN, _f64("class_weight", ("classes",)), *_CLASS_MOMENTS),
    ),
    Source(
        name="knn",
        task="classification",
        predict=knn.predict_class,
        update=knn.update_class,
        dims=DIMS,
        symbolic=FREE,
        about="Nearest neighbours over a window of labelled rows.",
        hyper=_SPARE,
        state=(*NORMALISER, *SEEN, *_window(TensorSpec(name="labels", dtype="int64", shape=("slots",)))),
    ),
    Source(
        name="knn",
        task="regression",
        predict=knn.predict_value,
        update=knn.update_value,
        dims=DIMS,
        symbolic=FREE,
        about="Mean of the nearest neighbours over a window of labelled rows.",
        hyper=_SPARE,
        state=(*NORMALISER, *_window(_f64("labels", ("slots",)))),
    ),
    Source(
        name="pool",
        task="classification",
        predict=pool.predict_class,
        update=pool.update_class,
        dims=DIMS,
        symbolic=FREE,
        about="Delay-aware exponential weights over the members of a committee.",
        hyper=_POOL_HYPER,
        x=TensorSpec(name="x", dtype="float64", shape=("rows", "members", "classes")),
        state=_LOG_WEIGHTS,
    ),
    Source(
        name="pools",
        task="classification",
        predict=pools.predict_class,
        update=pools.update_class,
        dims=DIMS,
        symbolic=FREE,
        about="Pools over the same members that learn in one call, each bit for bit as alone.",
        hyper=_POOL_HYPER,
        lanes=True,
        x=TensorSpec(name="x", dtype="float64", shape=("rows", "members", "classes")),
        state=_LOG_WEIGHTS,
    ),
    Source(
        name="pool",
        task="regression",
        predict=pool.predict_value,
        update=pool.update_value,
        dims=DIMS,
        symbolic=FREE,
        about="Delay-aware exponential weights over the members of a committee.",
        hyper=_POOL_HYPER,
        x=TensorSpec(name="x", dtype="float64", shape=("rows", "members")),
        state=(*_LOG_WEIGHTS, *_ERROR),
    ),
)
