"""Three spaces of architectures, built with onnx alone: MobileNetV3 and ResNet as once-for-all has them, AutoFormer.

Each space is a dict of the options of every choice, and a function that makes an `onnx.ModelProto` of a candidate.
Weights have types and no bytes: they are declared as external data in a file that is not there.

1. `MOBILENET`: Cai et al., Once-for-All (ICLR 2020): 5 stages of 2 to 4 inverted residual blocks, kernels 3, 5, 7,
   expansions 3, 4, 6, resolutions 160 to 224. 5 x 3^5 x 9^20 candidates.
2. `RESNET`: the ResNet-50 space of the same code: 4 stages whose depth varies by 2, width multipliers 0.65, 0.8, 1.0,
   expansions 0.2, 0.25, 0.35, resolutions 128 to 224.
3. `TRANSFORMER`: Chen et al., AutoFormer (ICCV 2021), the tiny supernet: embedding 192, 216, 240, depth 12 to 14, heads
   3 or 4 and ratio 3.5 or 4 of each layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import onnx
from onnx import TensorProto, helper

OPSET = 17

MOBILENET: dict[str, list[Any]] = {
    "resolution": [160, 176, 192, 208, 224],
    **{f"depth{stage}": [2, 3, 4] for stage in range(1, 6)},
    **{f"kernel{stage}.{block}": [3, 5, 7] for stage in range(1, 6) for block in range(1, 5)},
    **{f"expand{stage}.{block}": [3, 4, 6] for stage in range(1, 6) for block in range(1, 5)},
}
MOBILENET_WIDTHS = (24, 40, 80, 112, 160)
MOBILENET_STRIDES = (2, 2, 2, 1, 2)
MOBILENET_ACTIVATIONS = ("Relu", "Relu", "HardSwish", "HardSwish", "HardSwish")
MOBILENET_SQUEEZE = (False, True, False, True, True)

_RESNET_DEPTHS = (2, 2, 4, 2)
_RESNET_WIDTHS = (256, 512, 1024, 2048)
RESNET: dict[str, list[Any]] = {
    "resolution": [128, 160, 192, 224],
    "width0": [0.65, 0.8, 1.0],
    **{f"width{stage}": [0.65, 0.8, 1.0] for stage in range(1, 5)},
    **{f"depth{stage}": [least, least + 1, least + 2] for stage, least in enumerate(_RESNET_DEPTHS, 1)},
    **{
        f"expand{stage}.{block}": [0.2, 0.25, 0.35]
        for stage, least in enumerate(_RESNET_DEPTHS, 1)
        for block in range(1, least + 3)
    },
}

_LAYERS = 14
TRANSFORMER: dict[str, list[Any]] = {
    "embedding": [192, 216, 240],
    "depth": [12, 13, 14],
    **{f"heads{layer}": [3, 4] for layer in range(1, _LAYERS + 1)},
    **{f"ratio{layer}": [3.5, 4.0] for layer in range(1, _LAYERS + 1)},
}
_TOKENS = 197
_HEAD = 64


class Part(NamedTuple):
    """Operators and weights of a part of a model, and the tensor that it returns."""

    nodes: tuple[onnx.NodeProto, ...]
    weights: tuple[onnx.TensorProto, ...]
    result: str


class _Writer:
    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, op_type: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add an operator; returns its result."""
        name = f"{self.prefix}/{name}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [name], name, **attributes))
        return name

    def weight(self, name: str, *shape: int) -> str:
        """Add a weight without bytes; returns its name."""
        name = f"{self.prefix}/{name}"
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="weights.bin")
        self.weights.append(tensor)
        return name

    def value(self, name: str, *numbers: int) -> str:
        """Add a small constant of int64; returns its name."""
        name = f"{self.prefix}/{name}"
        self.weights.append(helper.make_tensor(name, TensorProto.INT64, [len(numbers)], numbers))
        return name

    def scalar(self, name: str, number: float) -> str:
        """Add a constant of float32; returns its name."""
        name = f"{self.prefix}/{name}"
        self.weights.append(helper.make_tensor(name, TensorProto.FLOAT, [], [number]))
        return name

    def conv(self, x: str, name: str, size: Sequence[int], act: str = "", stride: int = 1, groups: int = 1) -> str:
        """A convolution [out, in, kernel] with a bias, and an activation."""
        out, into, kernel = size
        w = self.weight(f"{name}.weight", out, into // groups, kernel, kernel)
        b = self.weight(f"{name}.bias", out)
        pad = kernel // 2
        y = self.add(
            "Conv", [x, w, b], name, kernel_shape=[kernel, kernel], strides=[stride, stride], pads=[pad] * 4,
            dilations=[1, 1], group=groups,
        )  # fmt: skip
        return self.add(act, [y], f"{name}.{act.lower()}") if act else y

    def linear(self, x: str, name: str, into: int, out: int) -> str:
        """A product with a weight and a bias."""
        y = self.add("MatMul", [x, self.weight(f"{name}.weight", into, out)], f"{name}.matmul")
        return self.add("Add", [y, self.weight(f"{name}.bias", out)], name)

    def norm(self, x: str, name: str, width: int) -> str:
        """A layer normalization."""
        scale, bias = self.weight(f"{name}.weight", width), self.weight(f"{name}.bias", width)
        return self.add("LayerNormalization", [x, scale, bias], name, axis=-1, epsilon=1e-6)

    def part(self, result: str) -> Part:
        """All that was added."""
        return Part(tuple(self.nodes), tuple(self.weights), result)


def divisible(size: float, by: int = 8) -> int:
    """The multiple of 8 next to a width, not more than a tenth below it."""
    found = max(by, int(size + by / 2) // by * by)
    return found + by if found < 0.9 * size else found


@lru_cache(maxsize=100_000)
def inverted_residual(
    prefix: str, x: str, into: int, middle: int, out: int, kernel: int, stride: int, squeeze: bool, act: str
) -> Part:
    """A block of MobileNetV3."""
    w = _Writer(prefix)
    y = w.conv(x, "expand", (middle, into, 1), act) if middle != into else x
    y = w.conv(y, "depthwise", (middle, middle, kernel), act, stride, middle)
    if squeeze:
        narrow = divisible(middle / 4)
        s = w.add("GlobalAveragePool", [y], "squeeze.pool")
        s = w.conv(s, "squeeze.reduce", (narrow, middle, 1), "Relu")
        s = w.conv(s, "squeeze.expand", (middle, narrow, 1), "HardSigmoid")
        y = w.add("Mul", [y, s], "squeeze.scale")
    y = w.conv(y, "project", (out, middle, 1))
    if stride == 1 and into == out:
        y = w.add("Add", [y, x], "add")
    return w.part(y)


@lru_cache(maxsize=1000)
def _mobilenet_stem() -> Part:
    w = _Writer("stem")
    return w.part(w.conv("x", "conv", (16, 3, 3), "HardSwish", 2))


@lru_cache(maxsize=1000)
def _mobilenet_head(x: str) -> Part:
    w = _Writer("head")
    y = w.conv(x, "expand", (960, 160, 1), "HardSwish")
    y = w.add("GlobalAveragePool", [y], "pool")
    y = w.conv(y, "mix", (1280, 960, 1), "HardSwish")
    y = w.add("Flatten", [y], "flatten", axis=1)
    return w.part(w.add("Gemm", [y, w.weight("fc.weight", 1000, 1280), w.weight("fc.bias", 1000)], "fc", transB=1))


def build_mobilenet(candidate: dict[str, Any]) -> onnx.ModelProto:
    """A network of `MOBILENET`."""
    parts = [_mobilenet_stem()]
    parts.append(inverted_residual("stage0.1", parts[-1].result, 16, 16, 16, 3, 1, False, "Relu"))
    into = 16
    for stage in range(1, 6):
        out = MOBILENET_WIDTHS[stage - 1]
        for block in range(1, candidate[f"depth{stage}"] + 1):
            parts.append(
                inverted_residual(
                    f"stage{stage}.{block}",
                    parts[-1].result,
                    into,
                    divisible(into * candidate[f"expand{stage}.{block}"]),
                    out,
                    candidate[f"kernel{stage}.{block}"],
                    MOBILENET_STRIDES[stage - 1] if block == 1 else 1,
                    MOBILENET_SQUEEZE[stage - 1],
                    MOBILENET_ACTIVATIONS[stage - 1],
                )
            )
            into = out
    parts.append(_mobilenet_head(parts[-1].result))
    return _model(parts, (1, 3, candidate["resolution"], candidate["resolution"]), (1, 1000))


@lru_cache(maxsize=100_000)
def bottleneck(prefix: str, x: str, into: int, middle: int, out: int, stride: int) -> Part:
    """A block of ResNet-50-D; the first of a stage has a shortcut with pooling and a convolution."""
    w = _Writer(prefix)
    y = w.conv(x, "conv1", (middle, into, 1), "Relu")
    y = w.conv(y, "conv2", (middle, middle, 3), "Relu", stride)
    y = w.conv(y, "conv3", (out, middle, 1))
    shortcut = x
    if stride > 1:
        shortcut = w.add(
            "AveragePool", [x], "shortcut.pool", kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4, ceil_mode=1
        )
    if stride > 1 or into != out or prefix.endswith(".1"):
        shortcut = w.conv(shortcut, "shortcut.conv", (out, into, 1))
    return w.part(w.add("Relu", [w.add("Add", [y, shortcut], "add")], "relu"))


@lru_cache(maxsize=1000)
def _resnet_stem(width: int) -> Part:
    w = _Writer("stem")
    half = divisible(width / 2)
    y = w.conv("x", "conv1", (half, 3, 3), "Relu", 2)
    y = w.conv(y, "conv2", (half, half, 3), "Relu")
    y = w.conv(y, "conv3", (width, half, 3), "Relu")
    return w.part(w.add("MaxPool", [y], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))


@lru_cache(maxsize=1000)
def _resnet_head(x: str, width: int) -> Part:
    w = _Writer("head")
    y = w.add("Flatten", [w.add("GlobalAveragePool", [x], "pool")], "flatten", axis=1)
    return w.part(w.add("Gemm", [y, w.weight("fc.weight", 1000, width), w.weight("fc.bias", 1000)], "fc", transB=1))


def build_resnet(candidate: dict[str, Any]) -> onnx.ModelProto:
    """A network of `RESNET`."""
    into = divisible(64 * candidate["width0"])
    parts = [_resnet_stem(into)]
    for stage in range(1, 5):
        out = divisible(_RESNET_WIDTHS[stage - 1] * candidate[f"width{stage}"])
        for block in range(1, candidate[f"depth{stage}"] + 1):
            middle = divisible(out * candidate[f"expand{stage}.{block}"])
            stride = 2 if block == 1 and stage > 1 else 1
            parts.append(bottleneck(f"stage{stage}.{block}", parts[-1].result, into, middle, out, stride))
            into = out
    parts.append(_resnet_head(parts[-1].result, into))
    return _model(parts, (1, 3, candidate["resolution"], candidate["resolution"]), (1, 1000))


@lru_cache(maxsize=100_000)
def encoder_layer(prefix: str, x: str, width: int, heads: int, hidden: int) -> Part:
    """A layer of a vision transformer whose heads have a width of their own, as AutoFormer's do."""
    w = _Writer(prefix)
    inner = heads * _HEAD
    y = w.norm(x, "norm1", width)
    y = w.linear(y, "attention.qkv", width, 3 * inner)
    y = w.add("Reshape", [y, w.value("attention.split", 1, _TOKENS, 3, heads, _HEAD)], "attention.reshape")
    y = w.add("Transpose", [y], "attention.transpose", perm=[2, 0, 3, 1, 4])
    q, k, v = (
        w.add("Gather", [y, w.value(f"attention.{name}.index", at)], f"attention.{name}.gather", axis=0)
        for at, name in enumerate("qkv")
    )
    axes = w.value("attention.axis", 0)
    q, k, v = (w.add("Squeeze", [t, axes], f"{t.split('/')[1]}.squeeze") for t in (q, k, v))
    q = w.add("Mul", [q, w.scalar("attention.scale", _HEAD**-0.5)], "attention.scaled")
    k = w.add("Transpose", [k], "attention.k.transpose", perm=[0, 1, 3, 2])
    scores = w.add("Softmax", [w.add("MatMul", [q, k], "attention.scores")], "attention.softmax", axis=-1)
    y = w.add("MatMul", [scores, v], "attention.values")
    y = w.add("Transpose", [y], "attention.merge", perm=[0, 2, 1, 3])
    y = w.add("Reshape", [y, w.value("attention.merged", 1, _TOKENS, inner)], "attention.join")
    x = w.add("Add", [w.linear(y, "attention.project", inner, width), x], "add1")
    y = w.linear(w.norm(x, "norm2", width), "mlp.fc1", width, hidden)
    half = w.add("Erf", [w.add("Div", [y, w.scalar("mlp.sqrt2", 2**0.5)], "mlp.gelu.div")], "mlp.gelu.erf")
    half = w.add("Add", [half, w.scalar("mlp.one", 1.0)], "mlp.gelu.add")
    y = w.add("Mul", [w.add("Mul", [y, half], "mlp.gelu.mul"), w.scalar("mlp.half", 0.5)], "mlp.gelu")
    return w.part(w.add("Add", [w.linear(y, "mlp.fc2", hidden, width), x], "add2"))


@lru_cache(maxsize=1000)
def _transformer_stem(width: int) -> Part:
    w = _Writer("stem")
    weight, bias = w.weight("patch.weight", width, 3, 16, 16), w.weight("patch.bias", width)
    y = w.add("Conv", ["x", weight, bias], "patch", kernel_shape=[16, 16], strides=[16, 16])
    y = w.add("Reshape", [y, w.value("tokens", 1, width, _TOKENS - 1)], "flatten")
    y = w.add("Transpose", [y], "transpose", perm=[0, 2, 1])
    y = w.add("Concat", [w.weight("class", 1, 1, width), y], "concat", axis=1)
    return w.part(w.add("Add", [y, w.weight("positions", 1, _TOKENS, width)], "embed"))


@lru_cache(maxsize=1000)
def _transformer_head(x: str, width: int) -> Part:
    w = _Writer("head")
    y = w.add("ReduceMean", [w.norm(x, "norm", width)], "pool", axes=[1], keepdims=0)
    return w.part(w.add("Gemm", [y, w.weight("fc.weight", 1000, width), w.weight("fc.bias", 1000)], "fc", transB=1))


def build_transformer(candidate: dict[str, Any]) -> onnx.ModelProto:
    """A network of `TRANSFORMER`."""
    width = candidate["embedding"]
    parts = [_transformer_stem(width)]
    for layer in range(1, candidate["depth"] + 1):
        hidden = int(width * candidate[f"ratio{layer}"])
        parts.append(encoder_layer(f"layer{layer}", parts[-1].result, width, candidate[f"heads{layer}"], hidden))
    parts.append(_transformer_head(parts[-1].result, width))
    return _model(parts, (1, 3, 224, 224), (1, 1000))


def _model(parts: Sequence[Part], shape: Sequence[int], result: Sequence[int]) -> onnx.ModelProto:
    graph = onnx.GraphProto(name="candidate")
    for part in parts:
        graph.node.extend(part.nodes)
        graph.initializer.extend(part.weights)
    graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, shape))
    graph.output.append(helper.make_tensor_value_info(parts[-1].result, TensorProto.FLOAT, result))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


SPACES: dict[str, tuple[dict[str, list[Any]], Callable[[dict[str, Any]], onnx.ModelProto]]] = {
    "mobilenet": (MOBILENET, build_mobilenet),
    "resnet": (RESNET, build_resnet),
    "transformer": (TRANSFORMER, build_transformer),
}
