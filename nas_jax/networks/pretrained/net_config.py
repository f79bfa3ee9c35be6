"""The reference implementation's `net.config`, read and written.

`mit-han-lab/proxylessnas` writes a network as JSON: a list of layers with all their
settings. `from_json` takes what an `Architecture` can say and refuses the rest by name,
so nothing is lost unseen. Widths come from the file and are never recomputed: the
published networks follow no rule.

What the reference does when a key is absent, we do: `bn` is momentum 0.1 and eps 1e-3,
`mid_channels` is expansion times input width, `act_func` of an inverted bottleneck is
ReLU6 and `use_se` false. As there, a block whose convolution is a `ZeroLayer` or null
is the identity, whatever its shortcut says.
"""

import json
from typing import Any

from nas_jax.config import files
from nas_jax.config.checks import LARGEST
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import Block, OpSpec
from nas_jax.spaces.parts import BN_EPS, Classifier, Head, Stem

INPUT_SIZE = 224  # of the paper; a file says otherwise with `resolution`

# What our parts are by nature: any other value is refused.
_LAYER = {"dropout_rate": 0, "ops_order": "weight_bn_act"}
_CONV = {
    **{"dilation": 1, "groups": 1, "bias": False, "has_shuffle": False},
    **{"use_bn": True, "act_func": "relu6", **_LAYER},
}
_MBCONV = {"act_func": "relu6", "use_se": False}
_PLAIN = {"use_bn": False, "act_func": None, **_LAYER}  # identity, linear
_LINEAR = {"bias": True, **_PLAIN}
# The reference's own default is ReLU, which is not ours.
_REQUIRED = {"ConvLayer": ("act_func",)}


def from_json(text: str, name: str, input_size: int | None = None) -> Architecture:
    """Reads a `net.config`.

    Args:
      text: the file's text.
      name: the architecture's name, which the format does not hold.
      input_size: side of the images; None takes the file's `resolution`, or 224
        without one, as the reference does.

    Raises:
      ValueError: naming the layer and the key that cannot be read, cannot be
        represented, or does not continue the layer before it.
    """
    document = files.parse(text, "reference config")
    if input_size is not None and not 1 <= input_size <= LARGEST:
        raise ValueError(f"input size: expected 1 to {LARGEST}, got {input_size}")
    top = _Layer("reference config", document)
    top.check("ProxylessNASNets", {})
    size = top.number("resolution", default=INPUT_SIZE)
    stem = _stem(top.layer("first_conv"), size if input_size is None else input_size)
    blocks: list[Block] = []
    channels, size = stem.out_channels, stem.output_size
    entries = top.take("blocks")
    if not isinstance(entries, list):
        raise ValueError(
            f"reference config: expected a list 'blocks', got {entries!r:.60}"
        )
    for index, entry in enumerate(entries):
        block = _block(_Layer(f"blocks.{index}", entry), channels, size)
        blocks.append(block)
        channels, size = block.out_channels, block.output_size
    head = _head(top.layer("feature_mix_layer"), channels, size)
    classifier = _classifier(top.layer("classifier"), head.out_channels, size)
    bn_eps = _bn_eps(top.layer("bn")) if "bn" in top.document else BN_EPS
    top.finish()
    return Architecture(name, stem, tuple(blocks), head, classifier, bn_eps)


class _Layer:
    """An object of the file whose keys are taken one by one, until none is left."""

    def __init__(self, where: str, document: Any) -> None:
        if not isinstance(document, dict):
            raise ValueError(f"{where}: expected an object, got {document!r:.60}")
        self.where, self.document = where, dict(document)

    def refuse(self, key: str, expected: str, got: Any) -> ValueError:
        return ValueError(f"{self.where}: expected {key} {expected}, got {got!r:.60}")

    def take(self, key: str) -> Any:
        if key not in self.document:
            raise ValueError(f"{self.where}: expected a key {key!r}, got none")
        return self.document.pop(key)

    def layer(self, key: str) -> "_Layer":
        return _Layer(key, self.take(key))

    def number(self, key: str, default: int | None = None) -> int:
        """A whole number from 1; the file may write it as 3.0."""
        if default is not None and key not in self.document:
            return default
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(key, "to be a number", value)
        if not 1 <= value <= LARGEST or value != int(value):
            raise self.refuse(key, f"to be a whole number, 1 to {LARGEST}", value)
        return int(value)

    def check(self, name: str, fixed: dict[str, Any]) -> "_Layer":
        """The kind of layer, and the settings that our parts cannot vary."""
        if (got := self.take("name")) != name:
            raise self.refuse("name", repr(name), got)
        for key in _REQUIRED.get(name, ()):
            if key not in self.document:
                raise ValueError(f"{self.where}: expected a key {key!r}, got none")
        for key, expected in fixed.items():
            if (got := self.document.pop(key, expected)) != expected:
                raise self.refuse(key, repr(expected), got)
        return self

    def continues(self, key: str, channels: int) -> int:
        """A width that must be what the layer before it puts out."""
        if (got := self.number(key)) != channels:
            raise self.refuse(key, f"{channels} as the layer before it puts out", got)
        return got

    def kernel(self) -> int:
        if (kernel := self.number("kernel_size")) % 2 == 0:
            raise self.refuse("kernel_size", "to be odd", kernel)
        return kernel

    def finish(self) -> None:
        if self.document:
            key, value = next(iter(self.document.items()))
            raise ValueError(
                f"{self.where}: {key} = {value!r:.60} has no counterpart here; remove "
                "it if the network is the same without it"
            )


def _stem(layer: _Layer, input_size: int) -> Stem:
    layer.check("ConvLayer", _CONV)
    stem = Stem(
        in_channels=layer.number("in_channels"),
        out_channels=layer.number("out_channels"),
        stride=layer.number("stride"),
        input_size=input_size,
        kernel=layer.kernel(),
    )
    layer.finish()
    return stem


def _block(layer: _Layer, channels: int, size: int) -> Block:
    layer.check("MobileInvertedResidualBlock", {})
    conv, shortcut = layer.take("mobile_inverted_conv"), layer.take("shortcut")
    layer.finish()
    has_shortcut = _has_shortcut(f"{layer.where}.shortcut", shortcut, channels)
    where = f"{layer.where}.mobile_inverted_conv"
    if conv is None or _is_zero(where, conv):
        return Block(OpSpec("zero"), channels, channels, 1, size, shortcut=True)
    inner = _Layer(where, conv).check("MBInvertedConvLayer", _MBCONV)
    expansion = inner.number("expand_ratio")
    if expansion > 9:
        raise inner.refuse("expand_ratio", "1 to 9", expansion)
    inner.continues("in_channels", channels)
    block = Block(
        op=OpSpec("mbconv", kernel=inner.kernel(), expansion=expansion),
        in_channels=channels,
        out_channels=inner.number("out_channels"),
        stride=inner.number("stride"),
        input_size=size,
        shortcut=has_shortcut,
    )
    middle = inner.document.pop("mid_channels", None)
    if middle not in (None, block.inner_channels):
        raise inner.refuse("mid_channels", f"null or {block.inner_channels}", middle)
    inner.finish()
    return block


def _is_zero(where: str, document: Any) -> bool:
    layer = _Layer(where, document)
    if layer.document.get("name") != "ZeroLayer":
        return False
    layer.check("ZeroLayer", {"stride": 1}).finish()
    return True


def _has_shortcut(where: str, document: Any, channels: int) -> bool:
    if document is None or _is_zero(where, document):
        return False
    layer = _Layer(where, document).check("IdentityLayer", _PLAIN)
    layer.continues("in_channels", channels)
    layer.continues("out_channels", channels)
    layer.finish()
    return True


def _head(layer: _Layer, channels: int, size: int) -> Head:
    layer.check("ConvLayer", {"kernel_size": 1, "stride": 1, **_CONV})
    layer.continues("in_channels", channels)
    head = Head(channels, layer.number("out_channels"), size)
    layer.finish()
    return head


def _classifier(layer: _Layer, channels: int, size: int) -> Classifier:
    layer.check("LinearLayer", _LINEAR)
    layer.continues("in_features", channels)
    classifier = Classifier(channels, layer.number("out_features"), size)
    layer.finish()
    return classifier


def _bn_eps(layer: _Layer) -> float:
    for key, expected in (("momentum", 0.1), ("ws_eps", None)):
        if (got := layer.document.pop(key, expected)) != expected:
            raise layer.refuse(key, repr(expected), got)
    eps = layer.take("eps")
    if isinstance(eps, bool) or not isinstance(eps, int | float):
        raise layer.refuse("eps", "to be a number", eps)
    layer.finish()
    return float(eps)


def to_json(architecture: Architecture) -> str:
    """Writes a `net.config`, its input size as `resolution`.

    `from_json` reads it back unchanged but for the name. Raises `ValueError` for an
    operation that the format does not know.
    """
    if (others := architecture.beside_mbconv) and not architecture.cells:
        raise ValueError(
            "reference config: expected inverted bottlenecks with ReLU6 and zero, got "
            f"{others}"
        )
    stem, head, classifier = (
        architecture.stem,
        architecture.head,
        architecture.classifier,
    )
    document = {
        "name": "ProxylessNASNets",
        "bn": {"momentum": 0.1, "eps": architecture.bn_eps},
        "first_conv": _conv_document(
            stem.kernel, stem.stride, stem.in_channels, stem.out_channels
        ),
        "blocks": [
            {
                "name": "MobileInvertedResidualBlock",
                "mobile_inverted_conv": _op_document(block),
                "shortcut": _identity_document(block) if block.shortcut else None,
            }
            for block in architecture.blocks
        ],
        "feature_mix_layer": _conv_document(1, 1, head.in_channels, head.out_channels),
        "classifier": {
            "name": "LinearLayer",
            "in_features": classifier.in_channels,
            "out_features": classifier.classes,
            **_LINEAR,
        },
        "resolution": stem.input_size,
    }
    return json.dumps(document, indent=4) + "\n"


def _conv_document(kernel: int, stride: int, width: int, out: int) -> dict[str, Any]:
    return {
        **{"name": "ConvLayer", "kernel_size": kernel, "stride": stride},
        **{"in_channels": width, "out_channels": out, **_CONV},
    }


def _identity_document(block: Block) -> dict[str, Any]:
    width = block.in_channels
    return {
        **{"name": "IdentityLayer", "in_channels": width, "out_channels": width},
        **_PLAIN,
    }


def _op_document(block: Block) -> dict[str, Any]:
    if block.op.is_zero:
        return {"name": "ZeroLayer", "stride": block.stride}
    if block.op.kind != "mbconv":
        raise ValueError(
            f"reference config: expected blocks of inverted bottlenecks and zero, got "
            f"{block.op.kind!r}"
        )
    return {
        "name": "MBInvertedConvLayer",
        "in_channels": block.in_channels,
        "out_channels": block.out_channels,
        "kernel_size": block.op.kernel,
        "stride": block.stride,
        "expand_ratio": block.op.expansion,
    }
