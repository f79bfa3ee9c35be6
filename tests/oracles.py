"""Independent NumPy transcriptions of the equations that the package computes.

Written from the equations, in loops, without the package: slow and easy to check.
"""

import numpy as np


def conv2d_nhwc(
    x: np.ndarray, w: np.ndarray, stride: int, pad: int, groups: int = 1
) -> np.ndarray:
    """Cross-correlation of x [B H W C] with w [k k C/groups out], zero padding."""
    batch, height, width, channels = x.shape
    kernel, _, fan_in, out = w.shape
    assert (fan_in * groups, out % groups) == (channels, 0)
    padded = np.zeros((batch, height + 2 * pad, width + 2 * pad, channels))
    padded[:, pad : pad + height, pad : pad + width] = x
    rows = (height + 2 * pad - kernel) // stride + 1
    columns = (width + 2 * pad - kernel) // stride + 1
    y = np.zeros((batch, rows, columns, out))
    per_group = out // groups
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            window = padded[:, top : top + kernel, left : left + kernel]
            for group in range(groups):
                inputs = slice(group * fan_in, (group + 1) * fan_in)
                outputs = slice(group * per_group, (group + 1) * per_group)
                y[:, row, column, outputs] = np.einsum(
                    "bhwi,hwio->bo", window[..., inputs], w[..., outputs]
                )
    return y


def batch_norm_eval(
    x: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float = 1e-3,
) -> np.ndarray:
    """Batch normalisation with running statistics, per last axis."""
    return scale * (x - mean) / np.sqrt(var + eps) + bias


def relu6(x: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(x, 0.0), 6.0)


def conv_bn_eval(x, params, batch_stats, stride=1, groups=1, eps=1e-3):
    """Convolution with padding k//2, then batch normalisation."""
    kernel = np.asarray(params["kernel"], dtype=np.float64)
    y = conv2d_nhwc(x, kernel, stride, kernel.shape[0] // 2, groups)
    return batch_norm_eval(y, **params["bn"], **batch_stats["bn"], eps=eps)


def mbconv_eval(x, params, batch_stats, stride, shortcut=False, eps=1e-3):
    """Inverted bottleneck: expand, depthwise (stride), project; then the shortcut."""
    y = x
    if "expand" in params:
        y = relu6(conv_bn_eval(y, params["expand"], batch_stats["expand"], eps=eps))
    y = relu6(
        conv_bn_eval(
            y,
            params["depthwise"],
            batch_stats["depthwise"],
            stride,
            groups=y.shape[-1],
            eps=eps,
        )
    )
    y = conv_bn_eval(y, params["project"], batch_stats["project"], eps=eps)
    return y + x if shortcut else y


def classifier_eval(x, params):
    """Global average pooling and a linear layer."""
    return x.mean(axis=(1, 2)) @ params["kernel"] + params["bias"]


def hard_sigmoid(x):
    return relu6(x + 3) / 6


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = {
    "none": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": relu6,
    "hard_swish": lambda x: x * hard_sigmoid(x),
    "silu": lambda x: x * sigmoid(x),
}


def affine_eval(x, params):
    """1x1 convolution with bias, if there is one."""
    y = x @ np.asarray(params["kernel"], np.float64)[0, 0]
    return y + params["bias"] if "bias" in params else y


def squeeze_eval(x, params, activation, gate):
    """x times a gate per channel that two 1x1 convolutions make of its mean."""
    y = x.mean(axis=(1, 2), keepdims=True)
    y = activation(affine_eval(y, params["reduce"]))
    return x * gate(affine_eval(y, params["expand"]))


def shuffled(x, groups):
    """Channel number j of group g goes to place j groups + g."""
    each = x.shape[-1] // groups
    y = np.empty_like(x)
    for group in range(groups):
        for place in range(each):
            y[..., place * groups + group] = x[..., group * each + place]
    return y
