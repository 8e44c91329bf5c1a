"""Writes data/pytorchcv/networks.json.xz: the operators of pytorchcv's classification networks, without weights.

    pip install torch pytorchcv
    python benchmarks/extract_networks.py data/pytorchcv/networks.json.xz

Each network runs once on tensors without data; the operators that PyTorch then executes are recorded and written in the
vocabulary of ONNX (nnmeter/lab/importing/network_catalog.py has the format).
"""

from __future__ import annotations

import fnmatch
import json
import lzma
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FAMILIES = (
    "alexnet* zfnet* vgg1? bn_vgg1? bninception resnet?? resnet18_* resnet?0b resnetbc* preresnet?? preresnet18_* "
    "preresnet50b preresnetbc* resnext* seresnet?? seresnetbc* seresnet50b sepreresnet?? sepreresnetbc* seresnext* "
    "senet?? regnet?00? regnet?016 regnet?032 diracnet* densenet??? peleenet wrn50_2 drn?2? darknet* bagnet* dla34 "
    "dla46* dla60* hrnet_w18* hrnetv2_w18 vovnet* selecsls* hardnet* squeezenet* squeezeresnet* sqnxt* shufflenet* "
    "menet* mobilenet_* mobilenetb_* fdmobilenet_* mobilenetv2_* mobilenetv2b_* mobilenetv3_* igcv3* ghostnet mnasnet* "
    "proxylessnas* fbnet* xception inceptionv? spnasnet efficientnet_b0* efficientnet_b1* efficientnet_b2* "
    "efficientnet_edge* mixnet* resneta10 resneta18 resnetd50b dpn68 channelnet resnesta18"
)
EXCLUDED = ("*_cifar*", "*_svhn", "*_cub", "*_coco", "*_voc", "*_cityscapes", "*_ade20k")
BOUND = 2**31
SIZE = 224  # of every network, whatever size it was made for: the phones ran them all at it


def main() -> None:
    """Extract all networks of the families and say how it went."""
    output = Path(sys.argv[1])
    networks = {}
    for name in _names():
        try:
            networks[name] = record(name)
        except Exception as fault:
            print(f"{name}: left out: {type(fault).__name__}: {str(fault)[:150]}", flush=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(networks, separators=(",", ":")).encode()
    output.write_bytes(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))
    print(f"{len(networks)} networks, {output.stat().st_size} bytes")


def _names() -> list[str]:
    from pytorchcv import model_provider

    patterns = FAMILIES.split()
    return [
        name
        for name in sorted(model_provider._models)
        if any(fnmatch.fnmatchcase(name, p) for p in patterns)
        and not any(fnmatch.fnmatchcase(name, p) for p in EXCLUDED)
    ]


def record(name: str) -> dict[str, Any]:
    """The description of one network."""
    import torch
    from pytorchcv.model_provider import get_model

    with torch.device("meta"):
        model = get_model(name, pretrained=False).eval()
    model = model.to("meta")
    shape = [1, getattr(model, "in_channels", 3), SIZE, SIZE]
    recorder = _recorder(shape)
    with torch.no_grad(), recorder:
        x = torch.empty(shape, device="meta")
        recorder.start(x)
        result = model(x)
    recorder.finish(result if isinstance(result, torch.Tensor) else result[0])
    return {"input": shape, "nodes": recorder.nodes}


def _recorder(shape: list[int]) -> Any:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Recorder(TorchDispatchMode):
        """Records every operator that PyTorch dispatches."""

        def __init__(self) -> None:
            super().__init__()
            self.nodes: list[list[Any]] = []
            self.place: dict[int, Any] = {}
            self.alive: list[Any] = []

        def start(self, x: torch.Tensor) -> None:
            self.note(x, 0)

        def note(self, tensor: torch.Tensor, place: Any) -> None:
            self.place[id(tensor)] = place
            self.alive.append(tensor)

        def add(self, operator: str, inputs: list[torch.Tensor], result: Any, **attributes: Any) -> None:
            self.nodes.append([operator, [self.place[id(t)] for t in inputs], attributes])
            number = len(self.nodes)
            if isinstance(result, (tuple, list)):
                for position, tensor in enumerate(result):
                    self.note(tensor, [number, position])
            else:
                self.note(result, number)

        def known(self, tensor: Any) -> bool:
            return isinstance(tensor, torch.Tensor) and id(tensor) in self.place

        def finish(self, result: torch.Tensor) -> None:
            if self.place[id(result)] != len(self.nodes):
                raise ValueError("the result is not what the last operator writes")

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            name = str(func.overloadpacket).removeprefix("aten.").rstrip("_")
            if any(self.known(a) or (isinstance(a, (list, tuple)) and any(map(self.known, a))) for a in args):
                if name not in OPERATORS:
                    raise ValueError(f"operator {name} is not handled")
                OPERATORS[name](self, args, kwargs or {}, result)
            return result

    return Recorder()


def _pair(value: Any) -> list[int]:
    values = list(value)
    return values * 2 if len(values) == 1 else values


def _window(kernel: Any, stride: Any, padding: Any, dilation: Any = (1,)) -> dict[str, Any]:
    kernel, padding = _pair(kernel), _pair(padding)
    return {"kernel_shape": kernel, "strides": _pair(stride) if list(stride) else kernel, "pads": padding * 2,
            "dilations": _pair(dilation)}  # fmt: skip


def _convolution(r: Any, a: Any, k: Any, y: Any) -> None:
    x, w, bias, stride, padding, dilation, transposed, _, groups = a
    if transposed or w.dim() != 4:
        raise ValueError("a transposed or one-dimensional convolution")
    r.add("Conv", [x], y, weight=list(w.shape), bias=bias is not None, group=groups,
          **_window(w.shape[2:], stride, padding, dilation))  # fmt: skip


def _normalization(r: Any, a: Any, k: Any, y: Any) -> None:
    r.add("BatchNormalization", [a[0]], y[0], channels=a[0].shape[1])


def _simple(operator: str, **attributes: Any) -> Callable[[Any, Any, Any, Any], None]:
    return lambda r, a, k, y: r.add(operator, [a[0]], y, **attributes)


def _swish(r: Any, a: Any, k: Any, y: Any) -> None:
    x = r.place[id(a[0])]
    r.nodes.append(["Sigmoid", [x], {}])
    r.nodes.append(["Mul", [x, len(r.nodes)], {}])
    r.note(y, len(r.nodes))


def _pairwise(operator: str) -> Callable[[Any, Any, Any, Any], None]:
    def rule(r: Any, a: Any, k: Any, y: Any) -> None:
        left, right = a[0], a[1]
        if r.known(left) and r.known(right):
            r.add(operator, [left, right], y)
        elif hasattr(right, "shape") or (hasattr(left, "shape") and not r.known(left)):
            other = right if r.known(left) else left
            r.add(operator, [left if r.known(left) else right], y, weight=list(other.shape))
        else:
            r.add(operator, [left], y, scalar=float(right))

    return rule


def _hardtanh(r: Any, a: Any, k: Any, y: Any) -> None:
    bounds = [float(v) for v in (*a[1:3], *(-1.0, 1.0)[len(a) - 1 :])]
    r.add("Clip", [a[0]], y, bounds=bounds)


def _clamp(r: Any, a: Any, k: Any, y: Any) -> None:
    low, high = ([*a[1:], None, None])[:2]
    r.add("Clip", [a[0]], y, bounds=[-3e38 if low is None else float(low), 3e38 if high is None else float(high)])


def _max_pool(r: Any, a: Any, k: Any, y: Any) -> None:
    x, kernel, stride, padding, dilation, ceil = ([*a, *[(), (0,), (1,), False][len(a) - 2 :]])[:6]
    r.add("MaxPool", [x], y[0], **_window(kernel, stride, padding, dilation), ceil_mode=int(ceil))


def _average_pool(r: Any, a: Any, k: Any, y: Any) -> None:
    x, kernel, stride, padding, ceil, include = ([*a, *[(), (0,), False, True][len(a) - 2 :]])[:6]
    window = _window(kernel, stride, padding)
    del window["dilations"]
    r.add("AveragePool", [x], y, **window, ceil_mode=int(ceil), count_include_pad=int(include))


def _mean(r: Any, a: Any, k: Any, y: Any) -> None:
    axes = sorted(axis % a[0].dim() for axis in a[1])
    keeps = len(a) > 2 and a[2]
    if axes != [2, 3]:
        raise ValueError(f"a mean over {axes}")
    r.nodes.append(["GlobalAveragePool", [r.place[id(a[0])]], {}])
    r.note(y, len(r.nodes))
    if not keeps:
        r.nodes.append(["Reshape", [len(r.nodes)], {"shape": list(y.shape)}])
        r.note(y, len(r.nodes))


def _adaptive_pool(r: Any, a: Any, k: Any, y: Any) -> None:
    if list(y.shape[2:]) != [1, 1]:
        raise ValueError("an adaptive pool to more than one element")
    r.add("GlobalAveragePool", [a[0]], y)


def _linear(r: Any, a: Any, k: Any, y: Any) -> None:
    bias, x, w = a[:3]
    r.add("Gemm", [x], y, weight=[w.shape[1], w.shape[0]], bias=bias is not None)


def _product(r: Any, a: Any, k: Any, y: Any) -> None:
    x, w = a[:2]
    r.add("Gemm", [x], y, weight=[w.shape[1], w.shape[0]], bias=False)


def _view(r: Any, a: Any, k: Any, y: Any) -> None:
    r.add("Reshape", [a[0]], y, shape=list(y.shape))


def _transpose(r: Any, a: Any, k: Any, y: Any) -> None:
    perm = list(range(a[0].dim()))
    first, second = a[1] % len(perm), a[2] % len(perm)
    perm[first], perm[second] = perm[second], perm[first]
    r.add("Transpose", [a[0]], y, perm=perm)


def _same(r: Any, a: Any, k: Any, y: Any) -> None:
    r.note(y, r.place[id(a[0])])


def _concat(r: Any, a: Any, k: Any, y: Any) -> None:
    axis = a[1] if len(a) > 1 else 0
    r.add("Concat", list(a[0]), y, axis=axis % y.dim())


def _split(r: Any, a: Any, k: Any, y: Any) -> None:
    axis = (a[2] if len(a) > 2 else 0) % a[0].dim()
    r.add("Split", [a[0]], list(y), sizes=[t.shape[axis] for t in y], axis=axis)


def _slice(r: Any, a: Any, k: Any, y: Any) -> None:
    x, axis, start, end, step = ([*a, *[0, None, None, 1][len(a) - 1 :]])[:5]
    if list(x.shape) == list(y.shape):
        _same(r, a, k, y)
    else:
        r.add("Slice", [x], y, range=[axis, start or 0, min(end if end is not None else BOUND, x.shape[axis]), step])


def _pad(r: Any, a: Any, k: Any, y: Any) -> None:
    pads = list(a[1])
    before = [0] * a[0].dim()
    after = [0] * a[0].dim()
    for position in range(len(pads) // 2):
        before[-1 - position], after[-1 - position] = pads[2 * position], pads[2 * position + 1]
    r.add("Pad", [a[0]], y, sizes=before + after, mode="constant")


def _resize(mode: str) -> Callable[[Any, Any, Any, Any], None]:
    return lambda r, a, k, y: r.add("Resize", [a[0]], y, sizes=list(y.shape), mode=mode)


def _prelu(r: Any, a: Any, k: Any, y: Any) -> None:
    r.add("PRelu", [a[0]], y, weight=[a[0].shape[1], 1, 1])


OPERATORS: dict[str, Callable[[Any, Any, Any, Any], None]] = {
    "convolution": _convolution,
    "native_batch_norm": _normalization,
    "_native_batch_norm_legit_no_training": _normalization,
    "cudnn_batch_norm": _normalization,
    "relu": _simple("Relu"),
    "sigmoid": _simple("Sigmoid"),
    "hardswish": _simple("HardSwish"),
    "hardsigmoid": _simple("HardSigmoid", alpha=1 / 6, beta=0.5),
    "silu": _swish,
    "hardtanh": _hardtanh,
    "clamp": _clamp,
    "prelu": _prelu,
    "_prelu_kernel": _prelu,
    "leaky_relu": _simple("LeakyRelu"),
    "elu": _simple("Elu"),
    "add": _pairwise("Add"),
    "sub": _pairwise("Sub"),
    "mul": _pairwise("Mul"),
    "div": _pairwise("Div"),
    "max_pool2d_with_indices": _max_pool,
    "avg_pool2d": _average_pool,
    "mean": _mean,
    "_adaptive_avg_pool2d": _adaptive_pool,
    "addmm": _linear,
    "mm": _product,
    "view": _view,
    "_unsafe_view": _view,
    "reshape": _view,
    "unsqueeze": _view,
    "squeeze": _view,
    "_reshape_alias": _view,
    "transpose": _transpose,
    "permute": lambda r, a, k, y: r.add("Transpose", [a[0]], y, perm=list(a[1])),
    "clone": _same,
    "contiguous": _same,
    "detach": _same,
    "alias": _same,
    "cat": _concat,
    "split": _split,
    "split_with_sizes": _split,
    "chunk": _split,
    "slice": _slice,
    "constant_pad_nd": _pad,
    "upsample_nearest2d": _resize("nearest"),
    "upsample_bilinear2d": _resize("linear"),
    "_softmax": lambda r, a, k, y: r.add("Softmax", [a[0]], y, axis=a[1]),
    "softmax": lambda r, a, k, y: r.add("Softmax", [a[0]], y, axis=a[1]),
}

if __name__ == "__main__":
    main()
