"""Global pools, views and sums."""

import pytest

from nnmeter.fusion.rulesets.mobile.pools_and_views import POOLS_VIEWS_AND_SUMS
from tests.fusion.models import i64
from tests.fusion.rulesets.applying import applied

X, Y = "float[1,8,4,4] x", "float[1,8,1,1] y"


def test_the_mean_of_the_map_is_a_global_average() -> None:
    assert applied(POOLS_VIEWS_AND_SUMS, X, Y, "y=ReduceMean(x,ax)", ax=i64(-2, -1)) == "GlobalAveragePool"
    kinds = applied(POOLS_VIEWS_AND_SUMS, X, "float[1,8] y", "y=ReduceMean<axes=[2,3],keepdims=0>(x)", 13)
    assert kinds == "GlobalAveragePool Reshape"
    assert applied(POOLS_VIEWS_AND_SUMS, X, "float[1,1,4,4] y", "y=ReduceMean(x,ax)", ax=i64(1)) == "ReduceMean"


@pytest.mark.parametrize(("one", "expected"), [(True, "GlobalAveragePool"), (False, "AveragePool")])
def test_an_average_of_the_whole_map_is_one_where_the_parameter_says_so(one: bool, expected: str) -> None:
    body = "y=AveragePool<kernel_shape=[4,4]>(x)"
    assert applied(POOLS_VIEWS_AND_SUMS, X, Y, body, parameters={"one_global_pool": one}) == expected


def test_views_are_one_reshape_and_a_sum_of_two_is_add() -> None:
    kinds = applied(POOLS_VIEWS_AND_SUMS, X, "float[1,1,128] y", "a=Flatten(x) y=Unsqueeze(a,ax)", ax=i64(1))
    assert kinds == "Reshape"
    assert applied(POOLS_VIEWS_AND_SUMS, X, "float[1,8,4,4] y", "y=Sum(x,x)") == "Add"
    assert applied(POOLS_VIEWS_AND_SUMS, X, "float[1,8,4,4] y", "y=Sum(x,x,x)") == "Sum"
