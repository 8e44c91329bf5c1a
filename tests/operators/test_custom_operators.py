"""Operators of other packages: the package of docs/custom-operators.md, installed; and what happens without one."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from onnx import TensorProto, helper

import nnmeter
from nnmeter.cli.main import run
from nnmeter.errors import ModelError, NnmeterError
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.features import kernel_family, kernel_features
from nnmeter.kernels.naming import kernel_signature
from nnmeter.operators import custom
from nnmeter.operators.cost import Cost, operator_cost
from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "custom-operators.md"
PACK = REPOSITORY / "predictors" / "xeon-icelake-onnxruntime1.32-1t"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    custom.declarations.cache_clear()
    kernel_features.cache_clear()
    yield
    custom.declarations.cache_clear()
    kernel_features.cache_clear()
    sys.modules.pop("acme_nnmeter", None)


def install(site: Path, module: str, monkeypatch: pytest.MonkeyPatch, point: str = "acme_nnmeter:OPERATORS") -> None:
    """What `pip install` makes of a package: a module, and the metadata of its distribution."""
    metadata = site / "acme_nnmeter-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "acme_nnmeter.py").write_text(module, encoding="utf-8")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-nnmeter\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{custom.ENTRY_POINT_GROUP}]\nacme = {point}\n")
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()


def page_module() -> str:
    text = PAGE.read_text(encoding="utf-8")
    project = re.search(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    module = re.search(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert project is not None and module is not None
    assert f'"{custom.ENTRY_POINT_GROUP}"]\nacme = "acme_nnmeter:OPERATORS"' in project[1]
    return module[1]


def model(declared: bool = False, op: str = "BandedMatMul"):
    node = helper.make_node(op, ["x", "band"], ["y"], "banded", domain="acme", width=3)
    relu = helper.make_node("Relu", ["y"], ["z"], "relu")
    info = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 8])] if declared else []
    graph = helper.make_graph(
        [node, relu],
        "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [4, 16]), ("band", [16, 8]))],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
        value_info=info,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("acme", 1)])


def test_the_package_of_the_page_gives_shapes_and_cost(tmp_path, monkeypatch) -> None:
    install(tmp_path, page_module(), monkeypatch)
    graph = nnmeter.load_model(model())
    assert graph.types["z"] == TensorType("float32", (4, 8))
    assert graph.warnings == []
    banded, relu = nnmeter.load_predictor(PACK).predict(graph).kernels
    assert (banded.type, banded.source, banded.flops, banded.bytes) == (
        "acme.BandedMatMul", "fallback", 2 * 32 * 3, 4 * (64 + 128 + 32),
    )  # fmt: skip
    assert relu.source == "trained"


def test_a_package_is_imported_only_for_operators_that_the_table_does_not_know(
    tmp_path, monkeypatch, small_model
) -> None:
    install(tmp_path, page_module(), monkeypatch)
    nnmeter.load_predictor(PACK).predict(small_model)
    assert "acme_nnmeter" not in sys.modules


def test_without_a_package_the_file_declares_shapes_and_the_price_is_a_guess() -> None:
    prediction = nnmeter.load_predictor(PACK).predict(model(declared=True))
    banded = prediction.kernels[0]
    assert (banded.type, banded.source, banded.flops) == ("acme.BandedMatMul", "fallback", 32)
    assert banded.latency_ms > 0
    assert any("operator acme.BandedMatMul is unknown" in warning for warning in prediction.warnings)
    assert any("acme.BandedMatMul" in w for w in prediction.warnings if "fallback" in w)
    assert prediction.coverage["fallback"] > 0
    with pytest.raises(ModelError, match=r"node 'banded' \(acme.BandedMatMul\): the shape of 'y' cannot be determined"):
        nnmeter.load_model(model())
    with pytest.raises(nnmeter.CoverageError, match=r"acme\.BandedMatMul"):
        nnmeter.load_predictor(PACK).predict(model(declared=True), strict=True)


def test_a_name_of_the_standard_in_another_domain_is_another_operator() -> None:
    types = [TensorType("float32", (4, 16)), TensorType("float32", (16, 8))]
    made = [TensorType("float32", (4, 8))]
    assert operator_cost("MatMul", "acme", {}, types, made) == Cost(32, 4 * (64 + 128), 4 * 32)
    signature = kernel_signature("MatMul", "acme", {"width": 3, "secret": "x"}, types, [False, True], made)
    assert signature.type == "acme.MatMul"
    assert kernel_family(signature) == "generic"
    assert dict(signature.attributes) == {"width": 3, "secret": "x"}


DECLARE = (
    "from nnmeter.operators.custom import OperatorDeclaration as D\nfrom nnmeter.graph.ir import TensorType as T\n"
)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("OPERATORS = [D('acme', 'BandedMatMul', lambda a, i, o: 1)]", "cannot be loaded .NameError"),
        (DECLARE + "OPERATORS = 3\n", "holds 3, not an OperatorDeclaration"),
        (DECLARE + "OPERATORS = ['x']\n", "holds 'x', not an OperatorDeclaration"),
        (DECLARE + "OPERATORS = [D('', 'MatMul', lambda a, i, o: 1)]\n", r"\.MatMul is known already"),
        (DECLARE + "OPERATORS = [D('acme', 'BandedMatMul', lambda a, i, o: 1)] * 2\n", "is declared twice"),
        (DECLARE + "OPERATORS = D('acme', 'BandedMatMul', lambda a, i, o: 1, lambda a, i, v: [3])\n",
         "not TensorTypes"),
        (DECLARE + "OPERATORS = D('acme', 'BandedMatMul', lambda a, i, o: 1, lambda a, i, v: 1 / 0)\n",
         "its declared 'shapes' ZeroDivisionError"),
        (DECLARE + "OPERATORS = D('acme', 'BandedMatMul', lambda a, i, o: a['no'], lambda a, i, v: [i[0]])\n",
         "its declared 'flops' KeyError"),
        (DECLARE + "OPERATORS = D('acme', 'BandedMatMul', lambda a, i, o: float('nan'), lambda a, i, v: [i[0]])\n",
         "its declared 'flops' gives nan"),
        (DECLARE + "OPERATORS = D('acme', 'BandedMatMul', lambda a, i, o: 1, lambda a, i, v: [i[0]], "
         "bytes_read=lambda a, i, o: -1)\n", "its declared 'bytes_read' gives -1"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_an_error_of_one_line(module: str, message: str, tmp_path, monkeypatch) -> None:
    install(tmp_path, module, monkeypatch)
    with pytest.raises(NnmeterError, match=message):
        nnmeter.load_predictor(PACK).predict(model())


def test_a_wrong_declaration_ends_the_command_with_code_2(tmp_path, monkeypatch, capsys) -> None:
    import onnx

    wrong = "OPERATORS = D('acme', 'BandedMatMul', lambda a, i, o: 1 / 0, lambda a, i, v: [i[0]])\n"
    install(tmp_path, DECLARE + wrong, monkeypatch)
    onnx.save(model(), tmp_path / "m.onnx")
    assert run(["predict", str(tmp_path / "m.onnx"), "--device", str(PACK)]) == 2
    error = capsys.readouterr().err
    assert "operator acme.BandedMatMul: its declared 'flops' ZeroDivisionError" in error
    assert "Traceback" not in error
