"""Networks that people time most, whether the public tables name them or not, so that tables of their own can."""

from __future__ import annotations

from collections.abc import Iterator

_TIMM = """
resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x8d wide_resnet50_2 wide_resnet101_2
seresnet50 vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn densenet121 densenet161 densenet169 densenet201
regnetx_002 regnetx_004 regnetx_008 regnetx_016 regnetx_032 regnety_002 regnety_004 regnety_008 regnety_016 regnety_032
efficientnet_b0 mnasnet_100 ghostnet_100 dla34 hrnet_w18 xception convnext_tiny convnext_small convnext_base
swin_tiny_patch4_window7_224 swin_small_patch4_window7_224 swin_base_patch4_window7_224 mixer_b16_224
vit_tiny_patch16_224 vit_small_patch16_224 vit_small_patch32_224 vit_base_patch16_224 vit_base_patch32_224
vit_large_patch16_224
""".split()
_TIMM_AT = {"efficientnet_b1": 240, "efficientnet_b2": 260, "efficientnet_b3": 300, "efficientnet_b4": 380,
            "inception_v3": 299, "inception_v4": 299, "mobilevit_xxs": 256, "mobilevit_xs": 256,
            "mobilevit_s": 256}  # fmt: skip
_TORCHVISION = """
alexnet googlenet squeezenet1_0 squeezenet1_1 mnasnet0_5 mnasnet1_0 shufflenet_v2_x0_5 shufflenet_v2_x1_0
shufflenet_v2_x1_5 shufflenet_v2_x2_0
""".split()
_GRIDS = {
    "mobilenet_v1": (("0.25", "0.5", "0.75", "1.0"), (128, 160, 192, 224)),
    "mobilenet_v2": (("0.35", "0.5", "0.75", "1.0"), (96, 128, 160, 192, 224)),
    "mobilenet_v3_large": (("0.75", "1.0"), (224,)),
    "mobilenet_v3_small": (("0.75", "1.0"), (224,)),
}


def common_networks() -> Iterator[tuple[str, tuple[int, int, int], str]]:
    """Name, size of the input, and call that rebuilds each."""
    for name in _TIMM:
        yield name, (3, 224, 224), f"timm.create_model('{name}')"
    for name, size in _TIMM_AT.items():
        yield name, (3, size, size), f"timm.create_model('{name}')"
    for name in _TORCHVISION:
        yield name, (3, 224, 224), f"torchvision.models.get_model('{name}', weights=None)"
    yield "mobilenet_v2_1.4_224", (3, 224, 224), "torchvision.models.mobilenet_v2(width_mult=1.4) at 224"
    for family, (widths, sizes) in _GRIDS.items():
        for width in widths:
            for size in sizes:
                yield f"{family}_{width}_{size}", (3, size, size), "the grid that the name says"
