"""Convolutions that become others: those of a split, strides that move back."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, Tensor, concat, largest, maybe, tensors, weight
from nnmeter.fusion.rulesets.openvino.sources import common

CHANNELS = (1, -3)
MOST_OF_A_SPLIT = 4


def _of_a_split(count: int, with_biases: bool) -> Rule:
    x, sizes = tensors("x sizes")
    parts = [Tensor(f"x{place}") for place in range(count)]
    weights = [Tensor(f"w{place}") for place in range(count)]
    biases = [Tensor(f"b{place}") for place in range(count)]
    split = Op("Split", x, maybe(sizes), outputs=parts)
    convs = [
        Op("Conv", part, w, *([b] if with_biases else [])) for part, w, b in zip(parts, weights, biases, strict=True)
    ]
    joined = Op("Concat", *convs)
    first = weights[0]
    grouped = weight(dtype=first.dtype, shape=concat([first.dim(0) * count], first.shape[1:]), name="grouped")
    bias = weight(dtype=first.dtype, shape=[first.dim(0) * count], name="grouped_bias")
    return Rule(
        f"{count} convolutions of a split" + (" with biases" if with_biases else ""),
        [joined, *convs, split],
        where=[
            joined.attr("axis", 0).one_of(*CHANNELS),
            split.attr("axis", 0).one_of(*CHANNELS),
            x.rank == 4,
            *(
                condition
                for conv, w in zip(convs, weights, strict=True)
                for condition in (w.is_constant, conv.attr("group", 1) == 1)
            ),
            *(
                condition
                for w, part in list(zip(weights, parts, strict=True))[1:]
                for condition in (w.shape == first.shape, part.shape == parts[0].shape)
            ),
        ],
        replace=Create(
            "Conv",
            x,
            grouped,
            *([bias] if with_biases else []),
            attributes=convs[0].attributes(group=count),
            into=joined,
        ),
        why="Equal convolutions of the pieces of a split, concatenated again, are one with groups.",
        source=common("convolution_to_group_convolution_fusion.cpp"),
    )


OF_A_SPLIT = Rewrite(
    "convolutions of a split",
    [_of_a_split(count, with_biases) for count in range(2, MOST_OF_A_SPLIT + 1) for with_biases in (False, True)],
)


def _stride(past_activation: bool) -> Rule:
    x, w1, b1, w2, b2, lo, hi = tensors("x w1 b1 w2 b2 lo hi")
    first = Op("Conv", x, w1, maybe(b1), name="first")
    activation = Op(
        ("Relu", "Sigmoid", "Tanh", "Gelu", "HardSwish", "Mish"), first, maybe(lo), maybe(hi), name="activation"
    )
    second = Op("Conv", activation if past_activation else first, w2, maybe(b2), name="second")
    strides = second.attr("strides", [1, 1])
    smaller = concat(first.shape[0:2], second.shape[2:])
    strided = Create(
        "Conv",
        x,
        w1,
        maybe(b1),
        dtype=first.dtype,
        shape=smaller,
        attributes=first.attributes(strides=second.attr("strides")),
    )
    steps = [strided]
    if past_activation:
        steps.append(
            Create(
                activation.kind,
                strided,
                maybe(lo),
                maybe(hi),
                dtype=first.dtype,
                shape=smaller,
                attributes=activation.attributes(),
            )
        )
    last = Create(
        "Conv", steps[-1], w2, maybe(b2), attributes=second.attributes(strides=[1, 1]), into=second, main=True
    )
    return Rule(
        f"stride of a pointwise convolution {'past an activation' if past_activation else 'into the one before'}",
        [second, *([activation] if past_activation else []), first],
        where=[
            second.attr("kernel_shape", w2.shape[2:]).all_equal(1),
            largest(strides[0], 1) > 1,
            second.attr("pads", [0]).all_equal(0),
            first.rank == 4,
            first.attr("strides", [1, 1]).all_equal(1),
            first.uses == 1,
            w1.is_constant,
            w2.is_constant,
            *([activation.uses == 1] if past_activation else []),
        ],
        replace=[*steps, last],
        why="A pointwise convolution with a stride reads a part of the map only, so that the convolution before it "
        "need not compute more: the stride moves there.",
        source=common("strides_optimization.cpp"),
    )


STRIDES = Rewrite("strides", [_stride(past_activation=False), _stride(past_activation=True)])
