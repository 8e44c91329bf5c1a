"""From the command line, and from Python, to a board and back."""

import os

import pytest

import nnmeter
from nnmeter.errors import MeasurementError
from nnmeter.lab.measuring.store import read_measurements
from tests.lab.wire.test_far_stand import make_model

pytest.importorskip("pyarrow")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the far side needs a POSIX system")


@pytest.fixture
def devices(far, tmp_path, monkeypatch):
    """A board with a name, whose processes are kept to a core that there is."""
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    cores = "" if core is None else f'cores = "{core}"\n'
    path = tmp_path / "devices.toml"
    path.write_text(f'[pi]\naddress = "ssh://me@board:2222"\nruntime = "far"\nthreads = 3\n{cores}')
    return f"{path}:pi", core


def test_models_are_measured_on_a_device_that_has_a_name(far, cli, devices, tmp_path):
    name, core = devices
    make_model(tmp_path / "a" / "model.onnx")
    out = tmp_path / "m.parquet"
    outcome = cli(
        "measure", tmp_path / "a", "--on", name, "--out", out, "--passes", 1, "--seconds", 0.01, "--format", "json"
    )
    assert outcome.code == 0, outcome.err
    (row,), fingerprint = read_measurements(out)
    assert (row.network, row.threads, fingerprint["runtime"], fingerprint["threads"]) == ("model", 3, "far", 3)
    assert fingerprint["settings"].get("cores") == (None if core is None else str(core))
    assert '"model"' in outcome.out
    if core is not None:  # some cores are a device of their own
        assert fingerprint["device"].endswith(f"-cores{core}-far-3t")
    page = cli("measure", tmp_path / "a", "--on", name, "--out", tmp_path / "n.parquet", "--report", "r.html")
    assert (page.code, "--report of a device by wire needs --device" in page.error_line) == (2, True)
    phone = cli("measure", tmp_path / "a", "--on", "adb://R58N", "--out", out, "--append")
    assert (phone.code, "cannot be added to a file" in phone.error_line) == (2, True)


def test_python_takes_the_same_names(far, devices, tmp_path):
    name, _ = devices
    (far.bin / "ssh").write_text("#!/bin/sh\necho gone >&2; exit 255\n")
    make_model(tmp_path / "a" / "model.onnx")
    with pytest.raises(MeasurementError, match=r"pi \(ssh://me@board:2222\): cannot be reached \(gone\)"):
        nnmeter.measure(tmp_path / "a" / "model.onnx", on=name)
    with pytest.raises(MeasurementError, match=r"pi \(ssh://me@board:2222\): cannot be reached \(gone\)"):
        nnmeter.profile(tmp_path / "c", 5, on=name)


def test_cores_that_are_not_there_are_one_line(far, cli, tmp_path):
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system cannot keep a process to cores")
    (tmp_path / "devices.toml").write_text('[pi]\naddress = "ssh://board"\nruntime = "far"\ncores = "4000"\n')
    outcome = cli("profile", "--on", f"{tmp_path}/devices.toml:pi", "--out", tmp_path / "c", "--budget", "5s")
    assert (outcome.code, "cores 4000: cannot be had (Invalid argument)" in outcome.error_line) == (2, True)
