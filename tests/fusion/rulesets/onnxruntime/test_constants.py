"""What is computed before the run, once, or as one operator."""

from nnmeter.fusion.rulesets.onnxruntime import constants
from tests.fusion.models import i64
from tests.fusion.rulesets.applying import applied

X, Y = "float[4] x", "float[4] y"


def test_operators_on_constants_are_folded() -> None:
    assert applied(constants.CONSTANT_FOLDING, X, Y, "a=Exp(w) y=Add(x,a)", w=(4,)) == "Add"


def test_sizes_that_are_known_are_folded_and_what_computed_only_them_is_not_run() -> None:
    body = "a=Exp(x) r=Relu(a) v=Mul(r,a) s=Shape(v) u=ConstantOfShape(s) y=Add(x,u)"
    assert applied(constants.CONSTANT_FOLDING, X, Y, body) == "Add"
    assert applied(constants.CONSTANT_FOLDING, X, f"{Y}, float[4] r", body) == "Exp Relu Add"


def test_what_the_model_itself_does_not_use_is_run() -> None:
    assert applied(constants.CONSTANT_FOLDING, X, Y, "a=Exp(x) y=Neg(x)") == "Exp Neg"


def test_the_number_of_elements_is_counted_in_every_run() -> None:
    assert applied(constants.CONSTANT_FOLDING, X, Y, "s=Size(x) c=Cast<to=1>(s) y=Mul(x,c)") == "Size Cast Mul"


def test_random_numbers_are_drawn_in_every_run() -> None:
    kinds = applied(constants.CONSTANT_FOLDING, X, Y, "a=RandomNormalLike(w) y=Add(x,a)", w=(4,))
    assert kinds == "RandomNormalLike Add"


def test_equal_operators_run_once() -> None:
    assert applied(constants.COMMON_SUBEXPRESSIONS, X, Y, "a=Exp(x) b=Exp(x) y=Add(a,b)") == "Exp Add"


def test_equal_random_numbers_are_drawn_twice() -> None:
    body = "a=RandomNormalLike(x) b=RandomNormalLike(x) y=Add(a,b)"
    assert applied(constants.COMMON_SUBEXPRESSIONS, X, Y, body) == "RandomNormalLike RandomNormalLike Add"


FOCUS = (
    "a=Slice(x,s00,e,ax,st) b=Slice(x,s10,e,ax,st) c=Slice(x,s01,e,ax,st) d=Slice(x,s11,e,ax,st) "
    "y=Concat<axis=1>(a,b,c,{last})"
)
BOUNDS = {
    "s00": i64(0, 0), "s10": i64(1, 0), "s01": i64(0, 1), "s11": i64(1, 1),
    "e": i64(8, 8), "ax": i64(2, 3), "st": i64(2, 2),
}  # fmt: skip
IMAGE, BLOCKS = "float[1,3,8,8] x", "float[1,12,4,4] y"


def test_strided_slices_of_all_pixels_are_moved_into_depth() -> None:
    kinds = applied(constants.STRIDED_SLICES, IMAGE, BLOCKS, FOCUS.format(last="d"), **BOUNDS)
    assert kinds == "SpaceToDepth Gather"


def test_slices_that_leave_pixels_out_stay() -> None:
    kinds = applied(constants.STRIDED_SLICES, IMAGE, BLOCKS, FOCUS.format(last="a"), **BOUNDS)
    assert "SpaceToDepth" not in kinds
