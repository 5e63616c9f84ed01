# ruff: noqa: FBT003 (the operators take flags by position)
"""The gradient of a convolution in terms of convolutions, the one decomposition that torch lacks."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

aten: Any = torch.ops.aten


def convolution_backward(  # noqa: PLR0913, PLR0917 (the operator's own signature)
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias_sizes: Sequence[int] | None,  # noqa: ARG001
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,  # noqa: FBT001
    output_padding: Sequence[int],  # noqa: ARG001
    groups: int,
    output_mask: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """Return the gradients of input, weight and bias.

    The gradient of the input is a transposed convolution; that of the weight correlates input and output gradient
    with batch and channels exchanged, stride and dilation trading places.

    Raises:
        ValueError: a transposed or grouped convolution, which is not supported.
    """
    if transposed or groups != 1:
        raise ValueError("only plain convolutions with groups=1 can be traced; write the layer another way")
    axes = range(len(stride))
    rest = [
        x.shape[2 + i]
        - ((grad.shape[2 + i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (weight.shape[2 + i] - 1) + 1)
        for i in axes
    ]
    to_x = to_weight = None
    if output_mask[0]:
        to_x = aten.convolution(grad, weight, None, stride, padding, dilation, True, rest, 1)
    if output_mask[1]:
        zeros = [0] * len(stride)
        swapped = aten.convolution(
            x.transpose(0, 1), grad.transpose(0, 1), None, dilation, padding, stride, False, zeros, 1
        ).transpose(0, 1)
        for i in axes:
            swapped = swapped.narrow(2 + i, 0, weight.shape[2 + i])
        to_weight = swapped
    return to_x, to_weight, grad.sum([0, *(2 + i for i in axes)])
