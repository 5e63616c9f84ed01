"""The operators that a learner may use: the standard domain, opset 18 to 23, deterministic and not deprecated.

Operators that draw random numbers are left out although they are standard: a learner is a pure function, and what is
random lies in its state.
"""

from acclimate_shared.errors import UnsupportedOpError
from acclimate_shared.onnx_ops import GraphSummary

MIN_OPSET, MAX_OPSET = 18, 23
RANDOM_OPS = frozenset(
    ["Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"]
)
DEPRECATED_OPS = frozenset(["Scatter", "Upsample"])
STANDARD_OPS = frozenset(
    """
    Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization
    BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil Celu CenterCropPad Clip
    Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh
    CumSum DFT DeformConv DepthToSpace DequantizeLinear Det Div DynamicQuantizeLinear Einsum Elu Equal Erf Exp
    Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool
    GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow HardSigmoid
    HardSwish Hardmax Identity If ImageDecoder InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization
    LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger Max MaxPool
    MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Neg
    NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or
    PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN Range Reciprocal ReduceL1 ReduceL2
    ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare RegexFullMatch
    Relu Reshape Resize ReverseSequence RoiAlign RotaryEmbedding Round STFT Scan ScatterElements ScatterND Selu
    SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap Shape Shrink
    Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Split
    SplitToSequence Sqrt Squeeze StringConcat StringNormalizer StringSplit Sub Sum Tan Tanh TfIdfVectorizer
    ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Where Xor
    """.split()  # noqa: SIM905 - 180 names read better so
)


def check_ops(graph: GraphSummary, opset: int, name: str) -> None:
    """Check that a graph stays within the pure standard set.

    Args:
        graph: What the graph is made of.
        opset: The opset that the manifest declares.
        name: The file name, for messages.

    Raises:
        UnsupportedOpError: If an opset, a domain or an operator is outside the set.
    """
    for domain, version in graph.opsets.items():
        if not domain and not (version == opset and MIN_OPSET <= version <= MAX_OPSET):
            remedy = f"the manifest says {opset}; use an opset from {MIN_OPSET} to {MAX_OPSET} in both"
            raise UnsupportedOpError(f"{name} has an unsupported opset", field="opset", value=version, remedy=remedy)
    if "" not in graph.opsets:
        remedy = "author the package again"
        raise UnsupportedOpError(f"{name} does not import the standard domain", field="opset", remedy=remedy)
    for domain, op in sorted(graph.ops):
        if domain:
            why, remedy = "an operator of another domain", "use operators of the standard domain only"
        elif op in RANDOM_OPS:
            why, remedy = "an operator that draws random numbers", "keep what is random in the state"
        elif op in DEPRECATED_OPS:
            why, remedy = "a deprecated operator", "use the operator that replaced it"
        elif op not in STANDARD_OPS:
            why, remedy = "an operator that is not standard", "use operators of the standard domain only"
        else:
            continue
        where = f"{domain}::{op}" if domain else op
        raise UnsupportedOpError(f"{name} has {why}", field="operator", value=where, remedy=remedy)
