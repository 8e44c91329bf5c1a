"""The adapter of docs/adding-a-runtime.md, installed as a distribution of its own, in a whole campaign."""

import importlib
import re
import sys

import onnx
import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.measuring import protocol
from nnmeter.lab.measuring.protocol import measure_models
from nnmeter.lab.runtimes import RuntimeAdapter, list_runtimes, load_runtime
from nnmeter.lab.runtimes.detection import ask_runtime
from tests.conftest import REPOSITORY, make_small_model

PAGE = REPOSITORY / "docs" / "adding-a-runtime.md"
NAME = "onnx-reference"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """What `pip install` makes of the page's two files: a module, and the metadata of its distribution."""
    (diff,) = (block for block in blocks("diff") if "class ReferenceAdapter" in block)
    added = diff[: diff.index("--- a/pyproject.toml")].splitlines()
    module = "\n".join(line[1:] for line in added if line.startswith("+") and not line.startswith("+++ "))
    (project,) = blocks("toml")
    group, point = re.search(r'\[project\.entry-points\."(.+)"\]\n(.+ = ".+")', project).groups()
    site = tmp_path / "site"
    metadata = site / "nnmeter_reference-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "nnmeter_reference.py").write_text(module, encoding="utf-8")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: nnmeter-reference\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{point.replace(chr(34), '')}\n")
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    yield site
    sys.modules.pop("nnmeter_reference", None)


@pytest.fixture(autouse=True)
def few_references(monkeypatch):
    monkeypatch.setattr(protocol, "NOMINAL_RUNS", 10)


@pytest.fixture
def adapter(installed):
    return load_runtime(NAME)


def test_adapter_is_found_and_imported_only_when_asked_for(installed):
    assert NAME in list_runtimes()
    assert "nnmeter_reference" not in sys.modules
    assert isinstance(load_runtime(NAME), RuntimeAdapter)


def test_models_are_measured_as_a_whole(adapter, small_model):
    (measured,) = measure_models([small_model], adapter, passes=2, seconds_per_pass=0.01)
    assert [signature.op_type for signature in measured.kernels] == [
        "Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm",
    ]  # fmt: skip
    assert measured.latency_ms > 0
    assert measured.kernel_ms == ()
    assert measured.runs >= 10


def test_free_dimensions_are_bound(adapter, tmp_path):
    path = tmp_path / "free.onnx"
    onnx.save(make_small_model("batch"), path)
    compiled = adapter.compile(path, dims={"batch": 3})
    compiled.run()
    assert compiled.batch == 3
    assert compiled.kernels[0].signature.outputs[0].shape == (3, 32, 14, 14)


def test_refusals_are_errors_of_one_line(adapter, small_model):
    with pytest.raises(MeasurementError, match="one thread"):
        adapter.compile(small_model, 2)
    with pytest.raises(MeasurementError, match="no profiler"):
        adapter.compile(small_model).profile(1)


def test_detection_asks_it(installed, small_model):
    assert len(ask_runtime(small_model, NAME)(None)) == 5


def test_campaign_of_whole_networks(adapter, tmp_path):
    pytest.importorskip("pyarrow")
    from nnmeter.lab.campaign.campaign import run_campaign
    from nnmeter.lab.measuring.store import read_measurements

    def network_of(seed):
        if seed == 1:
            model = make_small_model()
            model.graph.node[1].op_type = "Mystery"
            return model
        return make_small_model(batch=1 + seed)

    done = run_campaign(
        tmp_path / "campaign",
        adapter,
        budget_s=500,
        network_of=network_of,
        clock=Steps(),
    )
    rows, fingerprint = read_measurements(tmp_path / "campaign")
    assert done.networks == len(rows) > 1
    assert done.refused == 1
    assert fingerprint["runtime"] == NAME
    assert [row.batch for row in rows] == [1, *range(3, len(rows) + 2)]
    assert all(row.kernel_ms == () and row.latency_ms > 0 for row in rows)


class Steps:
    """Seconds of which one passes whenever somebody looks; a campaign's length depends on no machine."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        self.seconds += 1.0
        return self.seconds


def test_command_line_measures_with_it(installed, small_model, tmp_path):
    pytest.importorskip("pyarrow")
    from nnmeter.cli.main import run
    from nnmeter.lab.measuring.store import read_measurements

    target = tmp_path / "small.parquet"
    arguments = ["measure", str(small_model), "--runtime", NAME, "--out", str(target)]
    assert run([*arguments, "--passes", "1", "--seconds", "0.01"]) == 0
    rows, fingerprint = read_measurements(target)
    assert len(rows) == 1
    assert fingerprint["runtime_version"] == onnx.__version__
