"""How operators become kernels: in one loop, behind a product, in which layout, and what costs nothing."""

from nnmeter.fusion.rulesets.openvino import kernels, normalizations
from tests.fusion.models import f32, i64
from tests.fusion.rulesets.applying import applied

X, Y = "float[4,8] x", "float[4,8] y"
IMAGE, OUT = "float[1,8,4,4] x", "float[1,8,4,4] y"


def test_constants_are_folded_and_random_numbers_are_not() -> None:
    assert applied(kernels.CONSTANT_FOLDING, X, Y, "a=Exp(w) y=Add(x,a)", w=(8,)) == "Add"
    kinds = applied(kernels.CONSTANT_FOLDING, X, Y, "a=RandomNormalLike(w) y=Add(x,a)", w=(8,))
    assert kinds == "RandomNormalLike Add"


def test_slices_of_all_become_a_split() -> None:
    body = "a=Slice(x,s0,e0,ax) b=Slice(x,s1,e1,ax) y=Sub(a,b)"
    bounds = {"s0": i64(0), "e0": i64(4), "s1": i64(4), "e1": i64(8), "ax": i64(1)}
    assert applied(kernels.SLICES_TO_SPLIT, X, "float[4,4] y", body, **bounds) == "Split Sub"
    kinds = applied(kernels.SLICES_TO_SPLIT, X, "float[4,4] y", body, **{**bounds, "s1": i64(3), "e1": i64(7)})
    assert kinds == "Slice Slice Sub"


def test_concatenations_along_one_axis_are_one() -> None:
    body = "a=Concat<axis=0>(x,x) y=Concat<axis={}>(a,a)"
    assert applied(kernels.CONCATS_OF_CONCATS, X, "float[16,8] y", "a=Concat<axis=0>(x,x) b=Neg(x) c=Neg(b) "
                   "y=Concat<axis=0>(a,b,c)") == "Neg Neg Concat"  # fmt: skip
    assert applied(kernels.CONCATS_OF_CONCATS, X, "float[8,16] y", body.format(1)) == "Concat Concat"


def test_a_bias_of_two_convolutions_is_added_behind_each() -> None:
    body = "a=Conv(x,w,b) y=Conv(a,v,b)"
    weights = {"w": (8, 8, 1, 1), "v": (8, 8, 1, 1), "b": (8,)}
    assert applied(kernels.SHARED_BIASES, IMAGE, OUT, body, **weights) == "Conv Add Conv Add"
    assert applied(kernels.SHARED_BIASES, IMAGE, OUT, "y=Conv(x,w,b)", w=(8, 8, 1, 1), b=(8,)) == "Conv"


def test_two_products_and_a_softmax_are_one_kernel() -> None:
    inputs, out = "float[2,4,8] q, float[2,8,4] k, float[2,4,8] v", "float[2,4,8] y"
    body = "m=MatMul(q,k) s=Softmax<axis={}>(m) y=MatMul(s,v)"
    assert applied(kernels.ATTENTION, inputs, out, body.format(-1)) == "Attention"
    assert applied(kernels.ATTENTION, inputs, out, body.format(1)) == "MatMul Softmax MatMul"


def test_activations_run_behind_products_and_softmax_does_not() -> None:
    body = "a=Conv(x,w) y={}(a)"
    assert applied(kernels.POST_OPERATORS, IMAGE, OUT, body.format("Relu"), w=(8, 8, 1, 1)) == "Conv"
    assert applied(kernels.POST_OPERATORS, IMAGE, OUT, body.format("Softmax"), w=(8, 8, 1, 1)) == "Conv Softmax"


def test_small_products_are_one_kernel() -> None:
    body = "a=Gemm<transB=1>(x,w,b) y=Gemm<transB=1>(a,v,c)"
    small = {"w": (16, 8), "b": (16,), "v": (8, 16), "c": (8,)}
    wide = {"w": (512, 8), "b": (512,), "v": (8, 512), "c": (8,)}
    assert applied(kernels.SMALL_PRODUCTS, X, Y, body, **small) == "Gemm"
    assert applied(kernels.SMALL_PRODUCTS, X, Y, body, **wide) == "Gemm Gemm"


def test_element_wise_operators_are_one_loop() -> None:
    assert applied(kernels.ELEMENT_WISE_LOOPS, X, Y, "a=Exp(x) b=Abs(a) y=Sqrt(b)") == "Exp"
    assert len(applied(kernels.ELEMENT_WISE_LOOPS, X, Y, "a=Exp(x) b=Softmax(a) y=Sqrt(b)").split()) == 3


def test_convolutions_work_with_channels_last() -> None:
    kinds = applied(kernels.CHANNELS_LAST, IMAGE, OUT, "y=Conv(x,w)", w=(8, 8, 1, 1))
    assert kinds == "ReorderInput Conv ReorderOutput"
    assert applied(kernels.CHANNELS_LAST, X, Y, "y=Softmax(x)") == "Softmax"


def test_views_cost_nothing_and_concatenations_between_others_do() -> None:
    assert applied(kernels.IN_PLACE, X, "float[32] y", "a=Exp(x) y=Reshape(a,s)", s=i64(32)) == "Exp"
    kinds = applied(kernels.IN_PLACE, X, "float[4,16] y", "a=Exp(x) b=Neg(x) y=Concat<axis=1>(a,b)")
    assert kinds == "Exp Neg Concat"


def test_kernels_have_the_names_of_the_operator_set() -> None:
    passes = [normalizations.LAYER_NORMALIZATION, kernels.NAMES]
    ones, zeros = f32([1] * 8), f32([0] * 8)
    assert applied(passes, X, Y, "y=LayerNormalization(x,g,b)", g=ones, b=zeros) == "LayerNormalization"
    assert applied(kernels.NAMES, X, Y, "y=Exp(x)") == "Exp"
