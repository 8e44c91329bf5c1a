"""Training notes which code paths it sampled often enough."""

from dataclasses import replace
from pathlib import Path

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.anchor import Kind
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.training.paths import LEAST_KERNELS, with_sampled_paths
from nnmeter.predictor import read_predictor_of, write_predictor
from tests.conftest import make_small_predictor

CONV = Kind.parse("convolution:Conv|float32")
GEMM = Kind.parse("matmul:Gemm|float32")


def convolution(size: int, rank: int = 2) -> KernelSignature:
    image = TensorType("float32", (1, 8, *(size,) * rank))
    weight = TensorType("float32", (8, 8, *(1,) * rank))
    return KernelSignature(
        "Conv", "Conv", "", (image, weight), (False, True), (image,), (("kernel_shape", (1,) * rank),)
    )


def test_paths_count_that_several_kernels_took(tmp_path: Path) -> None:
    flat = [convolution(size) for size in range(4, 4 + LEAST_KERNELS)]
    solid = [convolution(size, 3) for size in range(4, 4 + LEAST_KERNELS)]
    few = [convolution(size, 1) for size in range(4, 4 + LEAST_KERNELS - 1)]
    predictor = with_sampled_paths(make_small_predictor(), [*flat, *solid, *few, *few])
    assert predictor.vocabulary[CONV].paths == {"", "3-D"}
    assert predictor.vocabulary[GEMM].paths == frozenset()
    again = with_sampled_paths(predictor, [*few, convolution(9, 1)])
    assert again.vocabulary[CONV].paths == {"", "3-D", "1-D"}
    write_predictor(predictor, tmp_path)
    assert read_predictor_of(tmp_path).vocabulary[CONV] == predictor.vocabulary[CONV]


def test_a_path_that_was_not_sampled_is_as_uncertain_as_a_stranger() -> None:
    told = with_sampled_paths(make_small_predictor(), [convolution(size) for size in range(4, 8)])
    for predictor in (told, make_small_predictor()):  # one that knows its paths, and one that knows none
        flat, solid = predictor.price([convolution(8), convolution(8, 3)])
        assert (flat.path, solid.path) == ("", "3-D")
        assert flat.unsampled_sigma == 0
        assert solid.unsampled_sigma == solid.sigma == 2.0
    both = replace(told.vocabulary[CONV], paths=frozenset({"", "3-D"}))
    assert replace(told, vocabulary={**told.vocabulary, CONV: both}).price([convolution(8, 3)])[0].path == ""
