"""ExecuTorch, PyTorch, and a plain table."""

from __future__ import annotations

import gzip
import json

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.importing.profiles import executorch, pytorch
from nnmeter.lab.importing.profiles.setting import MeasuredDevice
from tests.lab.importing.profiles.conftest import EXECUTORCH_TSV, account_of, pytorch_trace, write_json

BOARD = MeasuredDevice(name="board", runtime="ncnn")


def test_executorch_gives_the_whole(model, imported):
    (model.parent / "small.tsv").write_text(EXECUTORCH_TSV)
    report, rows, fingerprint = imported()
    assert (rows[0].latency_ms, rows[0].runs) == (pytest.approx(0.32), 4)
    assert fingerprint["runtime"] == "executorch"
    assert account_of(report, "small.tsv")["refused"] == {executorch.LOADING: 1, executorch.NO_OPERATOR: 1}


class TestPyTorch:
    def test_steps_whose_operators_are_known_are_networks(self, tmp_path, imported):
        trace = write_json(tmp_path / "net.pt.trace.json", pytorch_trace())
        report, rows, fingerprint = imported()
        (row,) = rows
        assert [kernel.type for kernel in row.kernels] == ["Conv", "Relu", "MatMul"]
        assert row.kernels[0].attribute("strides") == (2, 2)
        assert row.kernels[0].outputs[0].shape == (1, 8, 16, 16)
        assert row.kernel_ms == pytest.approx((0.1, 0.01, 0.03))
        assert (row.latency_ms, row.runs) == (pytest.approx(0.202), 3)
        assert fingerprint["runtime"] == "torch"
        account = account_of(report, trace.name)
        assert account["imported"] == 9
        assert account["refused"][pytorch.PART] == 3
        assert account["refused"][pytorch.WARM_UP] == 5

    def test_unknown_work_leaves_kernels_of_their_own(self, tmp_path, imported):
        trace = tmp_path / "net.json.gz"
        trace.write_bytes(gzip.compress(json.dumps(pytorch_trace(unknown=True)).encode()))
        report, rows, _ = imported()
        assert {row.granularity for row in rows} == {"kernel"}
        assert sorted(row.latency_ms for row in rows) == pytest.approx([0.01, 0.03, 0.1])
        assert account_of(report, trace.name)["refused"][pytorch.UNKNOWN] == 3

    def test_times_on_a_gpu_are_those_of_its_kernels(self, tmp_path, imported):
        content = pytorch_trace(1)
        number = next(e["args"]["External id"] for e in content["traceEvents"] if e["name"] == "aten::convolution")
        for duration in (7.0, 5.0):
            content["traceEvents"].append({"ph": "X", "cat": "kernel", "name": "implicit_gemm", "tid": 9, "ts": 500.0,
                                           "dur": duration, "args": {"External id": number}})  # fmt: skip
        write_json(tmp_path / "net.json", content)
        _, rows, fingerprint = imported()
        assert [(row.kernels[0].type, row.latency_ms) for row in rows] == [("Conv", pytest.approx(0.012))]
        assert fingerprint["kind"] == "gpu"


class TestTable:
    def test_a_line_a_model(self, model, imported):
        table = model.parent / "times.csv"
        table.write_text('model,sizes,ms,family\nsmall.onnx,,3.5,vision\nsmall.onnx,x=1x8x16x16,"3.6",\n')
        _, rows, fingerprint = imported(table, device=BOARD)
        assert [(row.network, row.family, row.latency_ms) for row in rows] == [
            ("small", "vision", pytest.approx(3.5)),
            ("small-x=1x8x16x16", "", pytest.approx(3.6)),
        ]
        assert (fingerprint["runtime"], fingerprint["fusion_rules"]) == ("ncnn", "plain_network")

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("nowhere.onnx,,3.5", "nowhere.onnx"),
            ("small.onnx,,-1", "no time in milliseconds"),
            ("small.onnx,,nan", "no time in milliseconds"),
            ("small.onnx,batch=many,1", "no size such as"),
            (",,1", "names no model"),
            ("../../../etc/passwd,,1", "passwd"),
        ],
    )
    def test_a_bad_line_is_refused_with_its_reason(self, line, reason, model, imported):
        table = model.parent / "times.csv"
        table.write_text(f"model,sizes,ms\nsmall.onnx,,2\n{line}\n")
        report, rows, _ = imported(table, device=BOARD)
        assert len(rows) == 1
        (told,) = account_of(report, "times.csv")["refused"]
        assert reason in told

    def test_the_runtime_must_be_said(self, model, imported):
        table = model.parent / "times.csv"
        table.write_text("model,ms\nsmall.onnx,2\n")
        with pytest.raises(MeasurementError, match="give it with --runtime"):
            imported(table)
