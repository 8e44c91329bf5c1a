"""Operators that training did not have, against ONNX Runtime: which intervals do not hold what is measured.

    python benchmarks/fallback_operators.py [--device PACK] [--only NAME]

1. Each form is a model of one operator, or few, of a small size, with data as an application has them: boxes of a
   picture, words, indices. `benchmarks/operator_forms.py` has more of them.
2. It is run with one thread for 0.35 s; the median counts. A form whose interval at 90 % does not hold it, and one
   whose price is off by more than a factor of 3, is printed.
3. The nanoseconds in `nnmeter/operators/loops.py` lie between these times of a Zen 3 and of a Zen 4 server.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import nnmeter

FLOAT, INT64, INT32, INT8, UINT8 = T.FLOAT, T.INT64, T.INT32, T.INT8, T.UINT8
DOUBLE, BOOL, WORDS = T.DOUBLE, T.BOOL, T.STRING
Maker = Callable[[tuple[int, ...]], np.ndarray[Any, Any]]
_RNG = np.random.default_rng(0)
_SECONDS, _MOST_RUNS, _FAR = 0.35, 200, 3.0


class Input(NamedTuple):
    """An input of a form, and what makes its data."""

    shape: tuple[int, ...]
    dtype: int = FLOAT
    made: Maker | None = None


def below(count: int) -> Maker:
    """Indices."""
    return lambda shape: _RNG.integers(0, count, shape)


def boxes(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Boxes of a picture of 300 x 300."""
    corner, size = _RNG.random((*shape[:-1], 2)) * 300, _RNG.random((*shape[:-1], 2)) * 60 + 4
    return np.concatenate([corner, corner + size], -1)


def regions(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Regions of a map of 50 x 50 with the number of the picture."""
    return np.concatenate([np.zeros((shape[0], 1)), boxes((shape[0], 4)) / 8], 1)


def words(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Words of 12 letters."""
    letters = _RNG.integers(97, 123, (int(np.prod(shape)), 12))
    return np.array(["".join(map(chr, row)) for row in letters], object).reshape(shape)


def uniform(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Numbers from 0 to 1."""
    return _RNG.random(shape)


def form(
    op: str, *inputs: Input | np.ndarray[Any, Any], outputs: int = 1, opset: int = 18, domain: str = "",
    **attributes: Any,
) -> tuple[onnx.ModelProto, dict[str, Input]]:  # fmt: skip
    """A model of one operator; arrays are constants."""
    names = [f"x{i}" for i in range(len(inputs))]
    given = {n: x for n, x in zip(names, inputs, strict=True) if isinstance(x, Input)}
    stored = [numpy_helper.from_array(x, n) for n, x in zip(names, inputs, strict=True) if not isinstance(x, Input)]
    node = helper.make_node(op, names, [f"y{i}" for i in range(outputs)], domain=domain, **attributes)
    graph = helper.make_graph(
        [node], op, [helper.make_tensor_value_info(n, x.dtype, x.shape) for n, x in given.items()],
        [onnx.ValueInfoProto(name=name) for name in node.output], stored,
    )  # fmt: skip
    imports = [("", opset), ("com.microsoft", 1), ("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(*i) for i in imports], ir_version=9), given


def one(op: str, shape: tuple[int, ...], dtype: int = FLOAT, made: Maker | None = None, **attributes: Any) -> Any:
    """An operator of one input."""
    return form(op, Input(shape, dtype, made), **attributes)


def selection(classes: int, count: int, most: int, least: float = 0.05) -> Any:
    """A NonMaxSuppression."""
    given = Input((1, count, 4), FLOAT, boxes), Input((1, classes, count), FLOAT, uniform)
    return form("NonMaxSuppression", *given, np.array([most]), np.array([0.5], "f4"), np.array([least], "f4"))


def sums(shape: tuple[int, ...], axis: int, dtype: int = FLOAT, **attributes: Any) -> Any:
    """A CumSum."""
    return form("CumSum", Input(shape, dtype), np.array(axis), **attributes)


def with_one(op: str, shape: tuple[int, ...], other: tuple[int, ...] = (1,), dtype: int = FLOAT) -> Any:
    """An operator of a tensor and one number."""
    return form(op, Input(shape, dtype), np.ones(other, helper.tensor_dtype_to_np_dtype(dtype)))


def einsum(equation: str, *shapes: tuple[int, ...]) -> Any:
    """An Einsum of float32."""
    return form("Einsum", *map(Input, shapes), equation=equation)


_MS, _ML = "com.microsoft", "ai.onnx.ml"
_SIZES = np.array([2, 3, 256, 256])

FORMS: dict[str, Callable[[], Any]] = {
    "selection of 3 x 500 boxes": lambda: selection(3, 500, 20),
    "selection of 90 x 500 boxes": lambda: selection(90, 500, 20),
    "selection of all of 300 boxes": lambda: selection(1, 300, 300),
    "selection of 80 x 2000 boxes": lambda: selection(80, 2000, 100),
    "selection of 80 x 8400 boxes, few likely": lambda: selection(80, 8400, 200, 0.9),
    "selection of all of 5000 boxes": lambda: selection(1, 5000, 5000),
    "sums over rows of 4096": lambda: sums((128, 4096), 0),
    "sums over rows of 4096, backwards": lambda: sums((128, 4096), 0, reverse=1),
    "sums over rows of 512": lambda: sums((64, 8, 512), 1),
    "sums over rows of 3": lambda: sums((16, 256, 3), 1),
    "sums over rows of 64": lambda: sums((2048, 64), 0),
    "sums along the last axis": lambda: sums((128, 4096), 1),
    "sums of float64": lambda: sums((128, 1024), 1, DOUBLE),
    "einsum of a diagonal": lambda: einsum("ii->i", (512, 512)),
    "einsum of a trace": lambda: einsum("ii->", (512, 512)),
    "einsum of a diagonal and a matrix": lambda: einsum("bii,bij->bj", (4, 64, 64), (4, 64, 64)),
    "einsum that transposes": lambda: einsum("ij->ji", (512, 512)),
    "einsum that sums rows": lambda: einsum("ij->i", (512, 512)),
    "einsum that turns heads": lambda: einsum("bqhd->bhqd", (2, 128, 8, 64)),
    "einsum element by element": lambda: einsum("ij,ij->ij", (256, 256), (256, 256)),
    "einsum of rows": lambda: einsum("bi,bi->b", (256, 1024), (256, 1024)),
    "einsum of three": lambda: einsum("bij,bjk,bk->bi", (4, 128, 128), (4, 128, 64), (4, 64)),
    "unique of 20,000": lambda: one("Unique", (20000,), INT64, below(500)),
    "unique of 2,000": lambda: one("Unique", (2000,)),
    "unique rows": lambda: one("Unique", (500, 8), INT64, below(3), axis=0),
    "half not zero": lambda: one("NonZero", (512, 512), FLOAT, lambda s: _RNG.random(s) > 0.5),
    "few not zero": lambda: one("NonZero", (512, 512), BOOL, lambda s: _RNG.random(s) > 0.98),
    "compress columns": lambda: form("Compress", Input((256, 1024)), Input((1024,), BOOL), axis=1),
    "compress": lambda: form("Compress", Input((65536,)), Input((65536,), BOOL)),
    "largest of int64": lambda: form("TopK", Input((64, 5000), INT64, below(10000)), np.array([100]), outputs=2),
    "draws from rows": lambda: form("Multinomial", Input((16, 1000)), sample_size=8, dtype=INT32),
    "draws": lambda: one("Bernoulli", (64, 1024), made=uniform),
    "normal numbers": lambda: one("RandomNormalLike", (64, 1024)),
    "uniform numbers": lambda: one("RandomUniformLike", (64, 1024)),
    "dropout": lambda: form("Dropout", Input((64, 1024)), np.array(0.3, "f4"), np.array(True), outputs=2),
    "determinants": lambda: one("Det", (64, 16, 16)),
    "a determinant": lambda: one("Det", (1, 128, 128)),
    "inverses": lambda: one("Inverse", (16, 32, 32), domain=_MS),
    "small inverses": lambda: one("Inverse", (256, 4, 4), domain=_MS),
    "unpooling": lambda: form("MaxUnpool", Input((1, 64, 28, 28)),
                              Input((1, 64, 28, 28), INT64, below(50176)), kernel_shape=[2, 2], strides=[2, 2]),
    "regions": lambda: form("MaxRoiPool", Input((1, 64, 50, 50)), Input((64, 5), FLOAT, regions), pooled_shape=[7, 7]),
    "crops": lambda: form("CropAndResize", Input((1, 64, 50, 50)), Input((64, 4), FLOAT, uniform),
                          np.zeros(64, "i4"), np.array([14, 14], "i4"), domain=_MS),
    "a grid": lambda: form("AffineGrid", Input((2, 2, 3)), _SIZES, opset=20),
    "samples of a volume": lambda: form("GridSample", Input((1, 8, 16, 16, 16)),
                                        Input((1, 16, 16, 16, 3), FLOAT, uniform), opset=20),
    "a deformed convolution": lambda: form("DeformConv", Input((1, 16, 28, 28)), np.ones((16, 16, 3, 3), "f4"),
                                           Input((1, 18, 28, 28)), pads=[1] * 4, opset=19),
    "an identity matrix": lambda: one("EyeLike", (1024, 1024)),
    "a transform of 100": lambda: one("DFT", (4, 16, 100, 1), opset=17, axis=2),
    "a transform back": lambda: one("DFT", (4, 1024, 2), opset=17, axis=1, inverse=1),
    "a spectrogram": lambda: form("STFT", Input((1, 16000)), np.array(160), np.ones(400, "f4"), opset=17),
    "bit shifts": lambda: form("BitShift", Input((256, 1024), UINT8), Input((256, 1024), UINT8, below(7)),
                               direction="LEFT"),
    "powers of int64": lambda: form("Pow", Input((256, 256), INT64), Input((256, 256), INT64, below(5))),
    "remainders": lambda: form("Mod", Input((256, 1024)), Input((256, 1024)), fmod=1),
    "remainders of int8": lambda: form("Mod", Input((256, 1024), INT8), Input((256, 1024), INT8)),
    **{f"{op} of float64": partial(one, op, (256, 512), DOUBLE)
       for op in ("Exp", "Tanh", "Sin", "Sigmoid", "Softmax", "Sqrt")},
    "LayerNormalization of float64": lambda: form("LayerNormalization", Input((64, 512), DOUBLE), np.ones(512)),
    **{f"{op} of one number, element by element": partial(with_one, op, (1, 300, 400, 1))
       for op in "Add Sub Mul Div Pow Max Min Greater Equal Less PRelu Sum Mean".split()},
    **{f"Add of one number of type {dtype}, element by element": partial(with_one, "Add", (1, 300, 400, 1), (1,), dtype)
       for dtype in (DOUBLE, INT64, INT32)},
    "Mul of a scalar, element by element": partial(with_one, "Mul", (300, 400, 1), ()),
    "Mul of one number of rank 2, element by element": partial(with_one, "Mul", (120000, 1, 1), (1, 1)),
    "Mul of one number of rank 4, at once": partial(with_one, "Mul", (1, 300, 400, 1), (1, 1, 1, 1)),
    "And, element by element": partial(with_one, "And", (1, 300, 400, 1), (1,), BOOL),
    "a choice, element by element": lambda: form("Where", Input((1, 300, 400, 1), BOOL), Input((1, 300, 400, 1)),
                                                 np.ones(1, "f4")),
    "a choice of float64": lambda: form("Where", Input((256, 512), BOOL), *[Input((256, 512), DOUBLE)] * 2),
    "a choice of words": lambda: form("Where", Input((1000,), BOOL), *[Input((1000,), WORDS)] * 2),
    "MaxPool of int8": lambda: one("MaxPool", (1, 16, 56, 56), INT8, kernel_shape=[3, 3]),
    "MaxPool of float64": lambda: one("MaxPool", (1, 16, 56, 56), DOUBLE, kernel_shape=[3, 3]),
    "words joined": lambda: form("StringConcat", Input((2000,), WORDS), Input((2000,), WORDS), opset=20),
    "words matched": lambda: one("RegexFullMatch", (1000,), WORDS, opset=20, pattern="[a-z]+@[a-z]+"),
    "words in capitals": lambda: one("StringNormalizer", (500,), WORDS, case_change_action="UPPER", locale="C"),
    "classes of numbers": lambda: one("LabelEncoder", (5000,), INT64, below(100), keys_int64s=list(range(100)),
                                      values_floats=list(map(float, range(100))), domain=_ML),
    "rows normalized": lambda: one("Normalizer", (256, 512), norm="L2", domain=_ML),
    "columns scaled": lambda: one("Scaler", (256, 512), offset=[0.0] * 512, scale=[1.0] * 512, domain=_ML),
    "a threshold": lambda: one("Binarizer", (256, 512), domain=_ML),
    "support vectors": lambda: one("SVMRegressor", (64, 64), coefficients=[0.1] * 200, kernel_params=[0.1, 0.0, 3.0],
                                   kernel_type="RBF", n_supports=200, rho=[0.0], support_vectors=[0.1] * 12800,
                                   domain=_ML),
    "windows unfolded": lambda: one("UnfoldTensor", (64, 1024), dim=-1, size=16, step=4, domain=_MS),
}  # fmt: skip


def data(given: Input) -> np.ndarray[Any, Any]:
    """The data of an input."""
    if given.dtype == WORDS:
        return words(given.shape)
    dtype = helper.tensor_dtype_to_np_dtype(given.dtype)
    if given.made is not None:
        return given.made(given.shape).astype(dtype)
    if given.dtype in (FLOAT, DOUBLE):
        return _RNG.standard_normal(given.shape).astype(dtype)
    return (_RNG.random(given.shape) > 0.5) if given.dtype == BOOL else _RNG.integers(1, 20, given.shape).astype(dtype)


def measured_ms(model: onnx.ModelProto, inputs: dict[str, Input]) -> float:
    """Median of the runs of a model with one thread (rule 2)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {name: data(given) for name, given in inputs.items()}
    session.run(None, feeds)
    times: list[float] = []
    end = time.perf_counter() + _SECONDS
    while len(times) < 3 or (time.perf_counter() < end and len(times) < _MOST_RUNS):
        start = time.perf_counter()
        session.run(None, feeds)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


@click.command()
@click.option("--device", default="epyc-milan-onnxruntime1.32-1t", show_default=True, help="Pack that predicts.")
@click.option("--only", default="", help="Forms whose names have this in them.")
def main(device: str, only: str) -> None:
    """Print the forms whose times the intervals do not hold, or that are priced far off."""
    from operator_forms import MORE_FORMS

    predictor = nnmeter.load_predictor(device)
    outside = far = 0
    widths = []
    forms = {**FORMS, **MORE_FORMS}
    chosen = [name for name in forms if only in name]
    for name in chosen:
        model, inputs = forms[name]()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "form.onnx"
            onnx.save(model, path)
            found = predictor.predict(path)
        ms = measured_ms(model, inputs)
        low, high = found.interval_ms
        widths.append((high / low) ** 0.5)
        outside += not low <= ms <= high
        far += not ms / _FAR <= found.latency_ms <= ms * _FAR
        if only or not low <= ms <= high or not ms / _FAR <= found.latency_ms <= ms * _FAR:
            said = "" if low <= ms <= high else "  not held"
            click.echo(f"{name:42} {found.latency_ms:9.3f} [{low:.3f}, {high:.3f}]  measured {ms:.3f} ms{said}")
    click.echo(f"{len(chosen)} forms: {outside} not held, {far} off by more than a factor of {_FAR:g}")
    if widths:
        click.echo(
            f"half of the intervals reach no further than a factor of {statistics.median(widths):.1f} either way"
        )


if __name__ == "__main__":
    main()
