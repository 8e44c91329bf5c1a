"""Plain, residual, grouped and re-parameterised networks: VGG, AlexNet, ResNet, ResNeXt, RegNet, RepVGG, MobileOne."""

from __future__ import annotations

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import (
    Activation,
    conv_activation,
    gate_activation,
    relu,
    squeeze_excite,
)
from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    batch_norm,
    concat,
    conv,
    conv_norm,
    flatten,
    global_average,
    linear,
    mul,
    pool,
    reduce,
    reshape,
    transpose,
)
from nnmeter.lab.campaign.recipes.stages import entry, image_backbone, run_stages

_WIDE_END_BYTES = 140_000_000
_BASES = (16, 18, 24, 32, 40, 48, 64, 64, 64, 64, 72, 80, 96, 128)


def plain(b: NetworkBuilder) -> None:
    """VGG- and AlexNet-like: convolutions, pooling between stages, sometimes the wide fully connected end."""
    act = relu if b.rng.random() < 0.85 else conv_activation(b)
    wide = b.budget.weight_bytes > _WIDE_END_BYTES
    base = b.rng.choice((32, 64, 96, 128, 192, 256, 256, 256))
    x, stride = entry(b, base, 512)
    if stride == 1 and b.rng.random() < 0.3:
        kernel = b.rng.choice((11, 11, 7, 9))
        x = act(
            b,
            conv_norm(
                b, x, b.rng.choice((32, 48, 64, 64, 96)), kernel, b.rng.choice((4, 4, 2)), pad=b.rng.choice((0, 2))
            ),
        )
        x = pool(b, "MaxPool", x, 3, 2) if min(x.shape[2:]) > 3 else x
        stride = 8
    elif stride == 1:
        x = act(b, conv_norm(b, x, base // 4, 3))

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        kernel = b.rng.choices((3, 5, 7, 1, 2), (80, 10, 3, 4, 1))[0]
        y = act(b, conv_norm(b, x, width, kernel if min(x.shape[2:]) > 1 else 1))
        if stride == 2 and min(y.shape[2:]) >= 3:
            y = pool(b, "MaxPool", y, *b.rng.choices(((2, 2), (3, 2)), (70, 30))[0])
        return y

    first = min(512, round(base * max(stride, 2) / 4))
    largest = 512 if wide else b.rng.choice((256, 512, 512, 768, 1024))
    widths = sizes.stage_widths(b.rng, first, 5 if wide else b.rng.randint(2, 5), largest)
    x = run_stages(b, x, widths, block, first_stride=2, repeats=(1, 2))
    if wide or b.rng.random() < 0.3:
        wide_end(b, x, act)


def wide_end(b: NetworkBuilder, x: Tensor, act: Activation) -> None:
    """Wide fully connected layers, bounded to the weights that the budget allows; some are written as convolutions."""
    side = min(x.shape[2:])
    goal = b.rng.choice((7, 7, 6, 5, 4))
    if side > goal and x.shape[2] == x.shape[3]:
        kernel = side // goal
        x = pool(b, "AveragePool", x, side - (goal - 1) * kernel, kernel)
    elif b.rng.random() < 0.3:
        x = pool(b, "AveragePool", x, 1, 1)
    room = max(b.budget.weight_bytes - b.weight_bytes, 4_000_000)
    hidden = 4096 if room > _WIDE_END_BYTES else b.rng.choice((4096, 4096, 2048, 1024, 512))
    while x.elements // x.shape[0] * hidden * 4 > room:
        hidden //= 2
    hidden = max(64, hidden)
    if b.rng.random() < 0.25 and x.shape[2] == x.shape[3]:
        y = act(b, conv(b, x, hidden, x.shape[2], pad=0))
        y = flatten(b, act(b, conv(b, y, hidden, 1)))
    else:
        y = flatten(b, x)
        for width in (hidden, b.rng.choice((hidden, hidden, 1024))):
            y = act(b, linear(b, y, width))
    linear(b, y, b.rng.choice((1000, 1000, 10, 100)))


def _shortcut(b: NetworkBuilder, x: Tensor, width: int, stride: int, average: bool) -> Tensor:
    if stride == 1 and x.shape[1] == width:
        return x
    if average and stride == 2:
        x = pool(b, "AveragePool", x, 2, 2, ceil_mode=1, include_pad=0)
        stride = 1
    return conv_norm(b, x, width, 1, stride)


def residual_basic(b: NetworkBuilder) -> None:
    """ResNet with two 3x3 convolutions a block; gates, average-pooled shortcuts and 5x5 kernels in some."""
    act = conv_activation(b)
    average = b.rng.random() < 0.25
    excite = b.rng.random() < 0.15
    gate = gate_activation(b)
    kernel = b.rng.choices((3, 5), (94, 6))[0]

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        short = _shortcut(b, x, width, stride, average)
        y = act(b, conv_norm(b, x, width, kernel, stride))
        y = conv_norm(b, y, width, 3)
        if excite:
            y = squeeze_excite(b, y, max(4, width // 16), relu, gate)
        return act(b, add(b, y, short) if b.rng.random() < 0.5 else add(b, short, y))

    image_backbone(b, block, act, base=b.rng.choice(_BASES), largest=1024)


def residual_bottleneck(b: NetworkBuilder) -> None:
    """ResNet-50-like bottlenecks of ratio 2 to 4, stride on the first or the second convolution, gates in some."""
    act = conv_activation(b)
    average = b.rng.random() < 0.25
    excite = b.rng.random() < 0.2
    gate = gate_activation(b)
    ratio = b.rng.choice((4, 4, 4, 4, 2, 2, 3))
    early_stride = b.rng.random() < 0.15
    kernel = b.rng.choices((3, 5), (95, 5))[0]

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        hidden = sizes.round_to(width / ratio, 4)
        y = act(b, conv_norm(b, x, hidden, 1, stride if early_stride else 1))
        if average and stride == 2 and not early_stride and b.rng.random() < 0.3:
            y = act(b, conv_norm(b, y, hidden, kernel))
            y = pool(b, "AveragePool", y, 3, 2, 1)
        else:
            y = act(b, conv_norm(b, y, hidden, kernel, 1 if early_stride else stride))
        y = conv_norm(b, y, width, 1)
        if excite:
            y = squeeze_excite(b, y, max(4, width // b.rng.choice((16, 16, 8, 4))), relu, gate)
        return act(b, add(b, y, _shortcut(b, x, width, stride, average)))

    image_backbone(b, block, act, base=b.rng.choice(_BASES), expansion=b.rng.choice((4, 4, 4, 2, 1)))


def residual_grouped(b: NetworkBuilder) -> None:
    """Grouped 3x3 convolutions, by group width (RegNet) or by number of groups (ResNeXt), gates in some."""
    act = relu if b.rng.random() < 0.7 else conv_activation(b)
    group_width = b.rng.choice((0, 0, 0, 4, 8, 8, 8, 8, 16, 16, 16, 24, 24, 32, 40, 48, 56, 64))
    group_count = b.rng.choice((2, 4, 8, 16, 32, 32, 32, 32, 64))
    ratio = b.rng.choice((1, 1, 1, 2, 4)) if group_width else b.rng.choice((2, 2, 4))
    excite = b.rng.random() < 0.4
    gate = gate_activation(b)

    varied = b.rng.random() < 0.5

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        hidden = width // ratio
        each = group_width or max(1, hidden // group_count)
        if varied:
            each = b.rng.choice((4, 8, 8, 16, 16, 24, 32, 40, 64))
        hidden = sizes.round_to(hidden, each)
        y = act(b, conv_norm(b, x, hidden, 1))
        y = act(b, conv_norm(b, y, hidden, 3, stride, groups=hidden // each))
        if excite:
            y = squeeze_excite(b, y, max(4, x.shape[1] // 4), relu, gate)
        y = conv_norm(b, y, width, 1)
        return act(b, add(b, _shortcut(b, x, width, stride, average=False), y))

    image_backbone(b, block, act, base=b.rng.choice((24, 32, 48, 56, 64, 64, 72, 80, 96, 128, 168)), largest=1920)


def residual_preactivated(b: NetworkBuilder) -> None:
    """Residual blocks that normalise and activate first, so that both may stay kernels of their own."""
    act = relu if b.rng.random() < 0.8 else conv_activation(b)
    bottleneck = b.rng.random() < 0.5

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        y = act(b, batch_norm(b, x))
        short = conv(b, y, width, 1, stride, bias=False) if stride > 1 or x.shape[1] != width else x
        if bottleneck:
            hidden = sizes.round_to(width / 4, 4)
            y = act(b, batch_norm(b, conv(b, y, hidden, 1, bias=False)))
            y = act(b, batch_norm(b, conv(b, y, hidden, 3, stride, bias=False)))
            y = conv(b, y, width, 1, bias=False)
        else:
            y = act(b, batch_norm(b, conv(b, y, width, 3, stride, bias=False)))
            y = conv(b, y, width, 3, bias=False)
        return add(b, y, short)

    image_backbone(b, block, act, base=b.rng.choice(_BASES), expansion=4 if bottleneck else 1)


def reparameterised(b: NetworkBuilder) -> None:
    """RepVGG and MobileOne in their training form (parallel branches, summed) or their deployed form (one 3x3)."""
    act = relu if b.rng.random() < 0.8 else conv_activation(b)
    deployed = b.rng.random() < 0.3
    depthwise = b.rng.random() < 0.3
    excite = b.rng.random() < 0.15

    def layer(b: NetworkBuilder, x: Tensor, width: int, kernel: int, stride: int, groups: int) -> Tensor:
        y = conv_norm(b, x, width, kernel, stride, groups=groups)
        if not deployed:
            y = add(b, y, conv_norm(b, x, width, 1, stride, groups=groups))
            if stride == 1 and x.shape[1] == width:
                y = add(b, y, batch_norm(b, x))
        if excite:
            y = squeeze_excite(b, y, max(4, width // 16), relu, gate_activation(b))
        return act(b, y)

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        if depthwise:
            y = layer(b, x, x.shape[1], 3, stride, x.shape[1])
            return layer(b, y, width, 1, 1, 1)
        return layer(b, x, width, 3, stride, 1)

    image_backbone(b, block, act, base=b.rng.choice((32, 48, 48, 64, 64, 80, 96, 128)), largest=2048)


def attention_in_convolutions(b: NetworkBuilder) -> None:
    """Residual blocks with other gates: ECA (a convolution over channels), CBAM, split attention (ResNeSt, SKNet)."""
    act = relu if b.rng.random() < 0.7 else conv_activation(b)
    kind = b.rng.choice(("eca", "spatial", "split"))

    def gate(b: NetworkBuilder, y: Tensor, width: int) -> Tensor:
        n = y.shape[0]
        if kind == "eca":
            line = reshape(b, global_average(b, y), (n, 1, width))
            g = b.node("Sigmoid", [conv(b, line, 1, b.rng.choice((3, 5)), bias=False)], (n, 1, width))
            return mul(b, y, reshape(b, g, (n, width, 1, 1)))
        if kind == "spatial":
            pooled = concat(b, [reduce(b, "ReduceMean", y, [1]), reduce(b, "ReduceMax", y, [1])])
            g = conv(b, pooled, 1, 7)
            return mul(b, y, b.node("Sigmoid", [g], g.shape))
        return _split_attention(b, y, width)

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        short = _shortcut(b, x, width, stride, average=True)
        hidden = sizes.round_to(width / 4, 8)
        y = act(b, conv_norm(b, x, hidden, 1))
        y = act(
            b, conv_norm(b, y, hidden * (2 if kind == "split" else 1), 3, stride, groups=2 if kind == "split" else 1)
        )
        y = gate(b, y, hidden)
        return act(b, add(b, conv_norm(b, y, width, 1), short))

    image_backbone(b, block, act, base=b.rng.choice((32, 48, 64, 64)), expansion=4)


def _split_attention(b: NetworkBuilder, y: Tensor, width: int) -> Tensor:
    """Two branches weighted by a softmax over them."""
    n, _, h, w = y.shape
    branches = reshape(b, y, (n, 2, width, h, w))
    total = b.node("ReduceSum", [branches, b.constant([1])], (n, width, h, w), flops=branches.elements, keepdims=0)
    g = conv(b, relu(b, conv(b, global_average(b, total), max(8, width // 2))), 2 * width)
    g = transpose(b, reshape(b, g, (n, 1, 2, width)), [0, 2, 1, 3])
    g = b.node("Softmax", [g], g.shape, axis=1)
    weighted = mul(b, branches, reshape(b, g, (n, 2, width, 1, 1)))
    return b.node("ReduceSum", [weighted, b.constant([1])], (n, width, h, w), flops=branches.elements, keepdims=0)
