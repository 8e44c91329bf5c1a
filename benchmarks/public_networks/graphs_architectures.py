"""The module of PyTorch that a canonical name of the public tables stands for, at one size of its input.

Rules:

1. A name is rebuilt by the call that networks.csv of the tables gives, with no weights.
2. Keras networks are rebuilt layer by layer in PyTorch, with padding as Keras has it (`SAME`, the odd element behind).
3. A timm network is made by the entry point and tag under which the tables have most rows of that size, so that its
   input and its head are those that ran. A network whose layers depend on the size of the input is told the size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

# torchvision's compiled part is not needed, and need not fit this PyTorch; its Python wants to find these declared.
_DECLARED = torch.library.Library("torchvision", "DEF")
_DECLARED.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_DECLARED.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


class Unavailable(Exception):
    """Why a network cannot be rebuilt at a size."""


_COMPUTED = ("arange", "linspace", "logspace", "tensor", "as_tensor", "scalar_tensor", "eye", "range")
_EMPTY = frozenset(f for f in _device_constructors() if f.__name__ not in _COMPUTED)
_FILLING = frozenset(
    getattr(torch.Tensor, f"{name}_")
    for name in "uniform normal clamp erfinv mul add sub div fill zero trunc_normal random clip".split()
    if hasattr(torch.Tensor, f"{name}_")
)


class WithoutData(TorchFunctionMode):
    """Makes parameters without data; numbers that modules compute with while they are made stay numbers."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _FILLING and args[0].is_meta:
            return args[0]
        if func in _EMPTY and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def without_data(make: Callable[[], nn.Module]) -> nn.Module:
    """The module that `make` returns, for inference, with parameters that hold nothing."""
    try:
        with WithoutData():
            module = make()
    except (RuntimeError, NotImplementedError) as fault:
        if "meta" not in str(fault).lower():
            raise
        module = make()
    return module.eval().to("meta")


# Networks of Keras.


class SameConv(nn.Conv2d):
    """A convolution with the padding that TensorFlow calls SAME."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run."""
        pads: list[int] = []
        for size, kernel, stride in zip(reversed(x.shape[2:]), reversed(self.kernel_size), reversed(self.stride),
                                        strict=True):  # fmt: skip
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return functional.conv2d(
            functional.pad(x, pads) if any(pads) else x, self.weight, self.bias, self.stride, 0, 1, self.groups
        )


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [SameConv(inputs, outputs, kernel, stride, groups=groups, bias=False), nn.BatchNorm2d(outputs)]


def keras_mobilenet(width: float) -> nn.Module:
    """keras.applications.MobileNet(alpha=width): its classifier is a 1x1 convolution."""
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    channels = int(32 * width)
    layers = [*_conv(3, channels, 3, 2), nn.ReLU6()]
    for outputs, stride in plan:
        outputs = int(outputs * width)
        layers += [*_conv(channels, channels, 3, stride, channels), nn.ReLU6()]
        layers += [*_conv(channels, outputs, 1), nn.ReLU6()]
        channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 1000, 1), nn.Flatten(), nn.Softmax(-1))


class _PreactivatedBlock(nn.Module):
    """A block of keras.applications' ResNet V2: the stride is in the last block of a stack, on its 3x3."""

    def __init__(self, inputs: int, width: int, stride: int, projects: bool) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.shortcut = nn.Conv2d(inputs, 4 * width, 1, stride) if projects else (
            nn.MaxPool2d(1, stride) if stride > 1 else nn.Identity())  # fmt: skip
        self.projects = projects
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, 4 * width, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run."""
        y = self.before(x)
        return self.shortcut(y if self.projects else x) + self.body(y)


def keras_resnet50v2() -> nn.Module:
    """keras.applications.ResNet50V2."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3), nn.ZeroPad2d(1), nn.MaxPool2d(3, 2)]
    channels = 64
    for width, blocks, stride in ((64, 3, 2), (128, 4, 2), (256, 6, 2), (512, 3, 1)):
        for number in range(blocks):
            layers.append(_PreactivatedBlock(channels, width, stride if number == blocks - 1 else 1, number == 0))
            channels = 4 * width
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(channels, 1000), nn.Softmax(-1))  # fmt: skip


def keras_mobilenet_v3(size: str, width: float, minimalistic: bool) -> nn.Module:
    """keras.applications.MobileNetV3Small/Large: timm's networks with TensorFlow's padding are of the same layers."""
    from timm.models.mobilenetv3 import _gen_mobilenet_v3

    name = f"tf_mobilenetv3_{size}_{'minimal_' if minimalistic else ''}100"
    return _gen_mobilenet_v3(name, width, pretrained=False, bn_eps=1e-3, pad_type="same")


# Transformers.


class _Encoder(nn.Module):
    """What a network of transformers returns first."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> Any:
        """Run."""
        return self.model(ids, return_dict=False)[0]


def _transformer(configuration: str, network: str, **sizes: int) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import transformers

        config = getattr(transformers, configuration)(attn_implementation="eager", **sizes)
        return _Encoder(getattr(transformers, network)(config))

    return make


_BASE = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
_TRANSFORMERS: dict[str, Callable[[], nn.Module]] = {
    "bert_base": _transformer("BertConfig", "BertModel"),
    "bert_large": _transformer("BertConfig", "BertModel", **_LARGE),
    "distilbert_base": _transformer("DistilBertConfig", "DistilBertModel"),
    "mobilebert": _transformer("MobileBertConfig", "MobileBertModel"),
    "albert_base": _transformer("AlbertConfig", "AlbertModel", **_BASE),
    "electra_base": _transformer("ElectraConfig", "ElectraModel", embedding_size=768, **_BASE),
    "bert_base_masked_lm": _transformer("BertConfig", "BertForMaskedLM"),
    "distilbert_base_masked_lm": _transformer("DistilBertConfig", "DistilBertForMaskedLM"),
    "albert_base_masked_lm": _transformer("AlbertConfig", "AlbertForMaskedLM", **_BASE),
    "electra_base_discriminator": _transformer("ElectraConfig", "ElectraForPreTraining", embedding_size=768, **_BASE),
    "segformer_b0": _transformer("SegformerConfig", "SegformerForSemanticSegmentation"),
}

_GRID = re.compile(r"mobilenet_v([123])(?:_(small|large)(_minimalistic)?)?_([\d.]+)_(\d+)")


def network(name: str, call: str, size: Sequence[int], entry: str = "") -> nn.Module:
    """The module of a name.

    Args:
        name: canonical name.
        call: the call of networks.csv, to tell the package.
        size: of the input, without the batch.
        entry: name and tag of timm under which the tables have it at that size.

    Raises:
        Unavailable: the packages do not give it.
    """
    if match := _GRID.fullmatch(name):
        version, part, minimalistic, width = match[1], match[2], bool(match[3]), float(match[4])
        if version == "1":
            return without_data(lambda: keras_mobilenet(width))
        if version == "2":
            import torchvision

            return without_data(lambda: torchvision.models.mobilenet_v2(width_mult=width))
        return without_data(lambda: keras_mobilenet_v3(part, width, minimalistic))
    if name in _TRANSFORMERS:
        return without_data(_TRANSFORMERS[name])
    if name == "resnet50v2_keras":
        return without_data(keras_resnet50v2)
    if call.startswith("torchvision"):
        import torchvision

        more = {"weights_backbone": None} if re.match("deeplab|fcn|lraspp", name) else {}
        return without_data(lambda: torchvision.models.get_model(name, weights=None, **more))
    if call.startswith("pytorchcv"):
        from pytorchcv.model_provider import get_model

        own = re.search(r"'(\w+)'", call)
        return without_data(lambda: get_model(own[1] if own else name, pretrained=False))
    if call.startswith("timm"):
        return _timm(name, entry, size)
    raise Unavailable("no public package has it")


def _timm(name: str, entry: str, size: Sequence[int]) -> nn.Module:
    import timm

    known = [e for e in (entry, entry.split(".")[0], name) if e and timm.models.is_model(e)]
    if not known:
        raise Unavailable(f"timm {timm.__version__} has no entry point {entry or name}")
    chosen = known[0]

    def plain() -> nn.Module:
        return timm.create_model(chosen, pretrained=False)

    def sized() -> nn.Module:
        return timm.create_model(chosen, pretrained=False, img_size=tuple(size[1:]))

    module = without_data(plain)
    if list(module.pretrained_cfg["input_size"][1:]) == list(size[1:]):
        return module
    try:
        return without_data(sized)
    except TypeError:  # no layer of it depends on the size
        return module
