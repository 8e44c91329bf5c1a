"""LayerNormalization written in single operators."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, maybe, opset, tensors
from nnmeter.fusion.rulesets.onnxruntime.shared import over_last_axis
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

SOURCE = optimizer("layer_norm_fusion.cc")


def _rule(differences: int, of_the_operator_set: bool) -> Rule:
    """`differences`: how often x - mean is written, 2 in models that were exported by old versions of PyTorch."""
    x, mean_axes, variance_axes, two, eps, g, beta = tensors("x mean_axes variance_axes two eps g beta")
    mean = Op("ReduceMean", x, maybe(mean_axes), name="mean")
    first = Op("Sub", x, mean)
    second = Op("Sub", x, mean) if differences == 2 else first
    square = Op("Pow", first, two, name="square")
    variance = Op("ReduceMean", square, maybe(variance_axes), name="variance")
    plus_eps = Op("Add", variance, eps, commutative=True, name="plus_eps")
    root = Op("Sqrt", plus_eps, name="root")
    normalized = Op("Div", second, root, name="normalized")
    scaled = Op("Mul", normalized, g, commutative=True, name="scaled")
    last = Op("Add", scaled, beta, commutative=True, name="last")
    return Rule(
        "LayerNormalization (two differences)" if differences == 2 else "LayerNormalization (Pow)",
        [
            *(mean, first, square, variance, plus_eps, root, normalized),
            *([second] if differences == 2 else []),
            *(scaled, last),
        ],
        where=[
            *([opset() >= 17] if of_the_operator_set else []),
            over_last_axis(mean, mean_axes, x),
            over_last_axis(variance, variance_axes, x),
            eps.is_known,
            g.is_constant,
            beta.is_constant,
            g.rank == 1,
            beta.rank == 1,
            mean.attr("keepdims", 1) == 1,
            variance.attr("keepdims", 1) == 1,
            two.scalar.near(2),
        ],
        replace=Create("LayerNormalization", x, g, beta, attributes={"axis": -1, "epsilon": eps.scalar}, into=last),
        why="A normalization of the last dimension with scale and offset becomes one operator: from opset 17 on among "
        "the basic optimizations, before it among the extended ones.",
        source=SOURCE,
    )


def _root_mean_square() -> Rule:
    x, axes, two, eps, g = tensors("x axes two eps g")
    square = Op("Pow", x, two, name="square")
    mean = Op("ReduceMean", square, maybe(axes), name="mean")
    plus_eps = Op("Add", mean, eps, commutative=True, name="plus_eps")
    root = Op("Sqrt", plus_eps, name="root")
    normalized = Op("Div", x, root, name="normalized")
    scaled = Op("Mul", normalized, g, commutative=True, name="scaled")
    return Rule(
        "SimplifiedLayerNormalization",
        [square, mean, plus_eps, root, normalized, scaled],
        where=[
            two.scalar.near(2),
            over_last_axis(mean, axes, x),
            eps.is_known,
            g.is_constant,
            g.rank == 1,
        ],
        replace=Create("SimplifiedLayerNormalization", x, g, attributes={"axis": -1}, into=scaled),
        why="A division by the root of the mean square, with a scale, becomes one operator.",
        source=SOURCE,
    )


def _pass(of_the_operator_set: bool) -> Rewrite:
    return Rewrite("LayerNormalization", [_rule(differences, of_the_operator_set) for differences in (1, 2)])


LAYER_NORMALIZATION_OF_THE_OPERATOR_SET = _pass(of_the_operator_set=True)
LAYER_NORMALIZATION = _pass(of_the_operator_set=False)
SIMPLIFIED_LAYER_NORMALIZATION = Rewrite("SimplifiedLayerNormalization", [_root_mean_square()])
