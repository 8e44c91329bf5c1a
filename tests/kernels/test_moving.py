"""The names of kernels that move data."""

import pytest

from nnmeter.kernels.moving import FROM_BLOCKS, TO_BLOCKS, moving_kernel

PERM = {"perm": (0, 2, 1)}


@pytest.mark.parametrize(
    ("chain", "reorder", "kind", "attributes"),
    [
        ([], TO_BLOCKS, "ReorderInput", {}),
        ([("Reshape", {})], FROM_BLOCKS, "ReorderOutput", {}),
        ([("Reshape", {})], "", "Reshape", {}),
        ([("Slice", {}), ("Transpose", PERM), ("Reshape", {})], "", "Transpose", {**PERM, "fused": "Slice"}),
        ([("Transpose", PERM)], TO_BLOCKS, "Transpose", {**PERM, "fused": "ReorderInput"}),
        (
            [("Slice", {}), ("Concat", {"axis": 1}), ("Slice", {})],
            FROM_BLOCKS,
            "Concat",
            {"axis": 1, "fused": "Slice+ReorderOutput"},
        ),
    ],
)
def test_the_operator_that_moves_most_names_the_kernel(chain, reorder, kind, attributes):
    assert moving_kernel(chain, reorder) == (kind, attributes)
