"""Prices of what is run element by element, and of kernels that run the loop of another."""

import pytest

from nnmeter.devices import load_pack
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.kernels.likeness import like
from nnmeter.predictor.price import DATA_SIGMA, LOOP_SIGMA

ZEN3, ZEN4 = "epyc-milan-onnxruntime1.32-1t", "epyc-genoa-onnxruntime1.32-1t"
ICE_LAKE = "xeon-icelake-onnxruntime1.32-1t"
PHONE, V100 = "cortexA76cpu_tflite21", "v100_tensorrt_fp32"


def kernel(op: str, shapes: list[tuple[int, ...]], out: tuple[int, ...], dtype: str = "float32", **attributes):
    inputs = tuple(TensorType(dtype, shape) for shape in shapes)
    kept = tuple(sorted(attributes.items()))
    return KernelSignature(op, op, "", inputs, (False,) * len(inputs), (TensorType(dtype, out),), kept)


def price(pack: str, signature: KernelSignature):
    return load_pack(pack).predictor.price([signature])[0]


def sums(shape: tuple[int, ...], axis: int, dtype: str = "float32") -> KernelSignature:
    return kernel("CumSum", [shape], shape, dtype, axes=(axis,))


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_sums_of_whole_rows_are_priced_as_the_addition_that_they_are(dtype: str) -> None:
    x = (128, 4096)
    added = price(ZEN3, kernel("Add", [x, x], x, dtype))
    summed = price(ZEN3, sums(x, 0, dtype))
    assert summed.latency_ms == added.latency_ms
    assert str(summed.kind) == f"reduction:CumSum|{dtype}"
    assert price(ZEN3, sums(x, 1, dtype)).latency_ms > summed.latency_ms


def test_of_a_path_that_was_not_sampled_it_is_still_said() -> None:
    found = price(ICE_LAKE, sums((128, 4096), 0))
    assert found.path == "inner axis"
    assert found.latency_ms == price(ICE_LAKE, kernel("Add", [(128, 4096)] * 2, (128, 4096))).latency_ms


def test_rows_of_few_elements_and_packs_without_sums_are_as_they_were() -> None:
    assert like(sums((16, 256, 3), 1)) is None
    assert like(sums((16, 256, 30), 2)) is None
    assert like(sums((16, 256, 30), -2)) == kernel("Add", [(16, 256, 30)] * 2, (16, 256, 30))
    assert like(kernel("CumSum", [(8, 64)], (8, 64))) is None
    assert like(kernel("CumSum", [(8, 64)], (8, 64), axes=(7,))) is None
    assert price(PHONE, sums((128, 4096), 0)).source == "fallback"


@pytest.mark.parametrize(
    ("signature", "ms"),
    [
        (kernel("NonMaxSuppression", [(1, 500, 4), (1, 90, 500)], (1800, 3), max_output_boxes=20), 0.80),
        (kernel("MaxRoiPool", [(1, 64, 50, 50), (64, 5)], (64, 64, 7, 7)), 1.65),
        (kernel("Mod", [(256, 1024)] * 2, (256, 1024), fmod=1), 1.73),
    ],
)
def test_the_fallback_prices_no_loop_below_what_it_takes(signature: KernelSignature, ms: float) -> None:
    """Milliseconds of ONNX Runtime on Zen 3; by bytes and operations it was 0.11, 0.12 and 0.21."""
    for pack in (ZEN3, ZEN4):
        found = price(pack, signature)
        assert found.source == "fallback"
        assert found.latency_ms > ms / 2


def test_what_is_told_takes_the_place_of_a_guess_that_is_too_high() -> None:
    """A determinant of 128 rows takes 0.09 ms, a trace of a matrix by Einsum next to nothing."""
    assert price(ZEN4, kernel("Det", [(1, 128, 128)], (1,))).latency_ms < 0.27
    assert price(ZEN4, kernel("Einsum", [(512, 512)], (), equation="ii->")).latency_ms < 0.02


def test_the_interval_is_as_wide_as_loops_are_known_and_wider_where_data_decide() -> None:
    told, guessed = kernel("CumProd", [(256, 512)], (256, 512)), kernel("Normalizer", [(256, 512)], (256, 512))
    assert price(ZEN4, told).sigma == price(ZEN4, guessed).sigma == LOOP_SIGMA
    assert price(ZEN4, kernel("Unique", [(3000,)], (3000,))).sigma == DATA_SIGMA > LOOP_SIGMA
    assert price(ZEN4, kernel("IsInf", [(256, 512)], (256, 512))).sigma > LOOP_SIGMA


def test_a_form_that_was_not_sampled_is_priced_by_its_loop_where_that_is_told() -> None:
    """Each element with an exponent of its own took 1.1 ms; one for all is what was sampled."""
    x = (256, 512)
    each = price(ZEN4, kernel("Pow", [x, x], x))
    assert each.path == "an exponent for each element"
    assert 0.4 < each.latency_ms < 3
    assert not price(ZEN4, kernel("Pow", [x, ()], x)).path


def test_a_kernel_that_runs_again_at_once_takes_less_and_is_less_certain() -> None:
    tanh = kernel("Tanh", [(16,)], (16,))
    assert 0.1 < load_pack(ZEN4).predictor.rerun(price(ZEN4, tanh), 1000).latency_ms < 0.5  # 0.2 to 0.4 us each
    predictor = load_pack(ZEN3).predictor
    small, large = (price(ZEN3, kernel("Tanh", [shape], shape)) for shape in ((1024,), (256, 4096)))
    again = predictor.rerun(small, 1000)
    assert again.latency_ms < 700 * small.latency_ms
    assert again.sigma > small.sigma
    assert again.unsampled_sigma > small.unsampled_sigma
    assert predictor.rerun(large, 10).latency_ms == pytest.approx(10 * large.latency_ms, rel=0.05)
    phone = price(PHONE, kernel("Tanh", [(16,)], (16,)))
    assert load_pack(PHONE).predictor.rerun(phone, 7) == phone.times(7)


def test_other_runtimes_may_have_the_loop_and_gpus_none_for_words() -> None:
    """TFLite has no such pool: what would run it is not known, and the interval reaches as far as a loop of a phone."""
    pool = kernel("LpPool", [(1, 32, 56, 56)], (1, 32, 54, 54), kernel_shape=(3, 3))
    joined = kernel("StringConcat", [(2000,)] * 2, (2000,), "string")
    assert price(PHONE, pool).worst_ms > 22
    assert price(V100, pool).worst_ms == 0
    assert price(V100, joined).worst_ms > 0.25
    assert price(ZEN4, pool).worst_ms == 0


@pytest.mark.parametrize("pack", [PHONE, V100, "epyc-milan-mnn3.6-1t"])
def test_the_loops_are_those_of_one_runtime_on_processors(pack: str) -> None:
    signature = kernel("Mod", [(256, 1024)] * 2, (256, 1024), fmod=1)
    found = price(pack, signature)
    assert found.source == "fallback"
    assert found.latency_ms < 0.8


@pytest.mark.parametrize(
    ("equation", "shapes", "out", "ms"),
    [
        ("ii->i", [(512, 512)], (512,), 0.012),
        ("ij->ji", [(512, 512)], (512, 512), 0.20),
        ("ij->i", [(512, 512)], (512,), 0.038),
        ("ij,ij->ij", [(512, 512)] * 2, (512, 512), 35.0),
    ],
)
def test_an_einsum_that_is_no_product_is_priced_by_its_loop(equation, shapes, out, ms: float) -> None:
    """Milliseconds of ONNX Runtime on Zen 3; as products they were 0.86, 0.47, 0.91 and 0.69."""
    found = price(ZEN3, kernel("Einsum", shapes, out, equation=equation))
    assert found.path
    assert ms / 4 < found.latency_ms < max(4 * ms, 0.15)
