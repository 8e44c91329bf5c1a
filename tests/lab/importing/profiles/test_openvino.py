from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino.tools.benchmark.utils.statistics_report import CsvStatisticsReport, StatisticsReport

from nnmeter.errors import MeasurementError
from nnmeter.lab.importing.profiles import openvino as reader
from nnmeter.lab.runtimes import load_runtime
from tests.lab.importing.profiles.conftest import account_of


def write_reports(model: Path, kind: str = "average_counters") -> Path:
    """What benchmark_app writes, by its own writers."""
    core = ov.Core()
    settings = {"PERF_COUNT": True, "INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(str(model), "CPU", settings)
    request = compiled.create_infer_request()
    told = []
    for _ in range(3):
        request.infer({"x": np.ones((1, 8, 16, 16), np.float32)})
        told.append(request.get_profiling_info())
    folder = model.parent
    ov.serialize(compiled.get_runtime_model(), str(folder / "graph.xml"))
    (folder / "graph.bin").unlink(missing_ok=True)
    report = CsvStatisticsReport(StatisticsReport.Config(kind, str(folder)))
    results = [("latency (ms)", "0.25"), ("throughput", "4000")]
    report.add_parameters(StatisticsReport.Category.EXECUTION_RESULTS, results)
    report.dump()
    report.dump_performance_counters(told)
    return folder / f"benchmark_{kind}_report.csv"


def test_kernels_are_those_of_the_execution_graph(model, imported):
    counters = write_reports(model)
    report, rows, fingerprint = imported()
    (row,) = rows
    compiled = load_runtime("openvino").compile(str(model), 1, profiled=True)
    assert row.kernels == tuple(kernel.signature for kernel in compiled.kernels)
    assert len(row.kernel_ms) == len(row.kernels)
    assert row.latency_ms == pytest.approx(0.25)
    assert fingerprint["runtime"] == "openvino"
    account = account_of(report, counters.name)
    assert account["imported"] == len(row.kernels)
    assert set(account["refused"]) == {reader.NO_WORK, reader.TOTAL}


def test_detailed_counters_are_runs_of_their_own(model, imported):
    counters = write_reports(model, "detailed_counters")
    (model.parent / "benchmark_report.csv").unlink()
    report, rows, _ = imported()
    assert rows[0].kernel_runs == rows[0].runs == 3
    assert account_of(report, counters.name)["imported"] == 3 * len(rows[0].kernels)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("<net", "<!DOCTYPE a [<!ENTITY b 'c'>]><net", "declares entities"),
        ("</net>", "", "no whole XML file"),
        ('precision="FP32"', 'precision="FP33"', "element type"),
        ("<dim>16</dim>", "<dim>-16</dim>", "has the shape"),
        ('from-layer="0"', 'from-layer="77"', "leads to no layer"),
    ],
)
def test_a_damaged_execution_graph_is_refused(before, after, message, model, imported):
    write_reports(model)
    xml = model.parent / "graph.xml"
    xml.write_text(xml.read_text().replace(before, after, 1))
    with pytest.raises(MeasurementError, match=message):
        imported()


def test_counters_alone_say_what_is_missing(model, imported):
    write_reports(model)
    (model.parent / "graph.xml").unlink()
    with pytest.raises(MeasurementError, match="-exec_graph_path"):
        imported()


def test_a_kernel_of_less_than_half_a_microsecond_is_no_other_run(model, imported):
    """The plugin rounds its means to whole microseconds, and calls what is rounded to none of them not run."""
    counters = write_reports(model)
    _, (whole,), _ = imported()
    lines = counters.read_text().splitlines()
    number = next(i for i, line in enumerate(lines) if "Status.EXECUTED" in line)
    name, _, *kind, _, _ = lines[number].split(";")
    lines[number] = ";".join([name, "Status.NOT_RUN", *kind, "0.000", "0.000"])
    counters.write_text("\n".join(lines) + "\n")
    report, (row,), _ = imported()
    assert row.kernels == whole.kernels
    assert 0.0 in row.kernel_ms
    assert account_of(report, counters.name)["imported"] == len(row.kernels)
    counters.write_text("\n".join(lines[:number] + lines[number + 1 :]) + "\n")
    with pytest.raises(MeasurementError, match=f"has no time of the layer '{name}'"):
        imported()
