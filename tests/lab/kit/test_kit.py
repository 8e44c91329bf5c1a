"""Kits: what is in the folder, and what the script does with it, by a program that stands in for the runtime's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from nnmeter.errors import MeasurementError, ModelError
from nnmeter.graph.input_sizes import AS_DECLARED
from nnmeter.lab.importing.profiles.kit import reference_around
from nnmeter.lab.importing.profiles.run import import_profiles
from nnmeter.lab.importing.profiles.setting import MeasuredDevice
from nnmeter.lab.kit.build import make_kit, make_kit_of_models, plan_rows
from nnmeter.lab.kit.networks import KitNetwork, fill, random_networks
from nnmeter.lab.kit.runtimes import NAMES
from nnmeter.lab.kit.shared_weights import EMBEDDED_BYTES, FILE, SharedWeights
from nnmeter.lab.measuring.store import read_measurements

ROWS = 12
STAND_IN = Path(__file__).with_name("perf_test_stand_in.py")
SHELL = shutil.which("sh") or ""
pytestmark = pytest.mark.skipif(not SHELL, reason="needs a POSIX shell")

# Writes what the program would, without running anything.
FAKE = """#!/bin/sh
case $1 in --help) echo opt_data; exit 0 ;; esac
model= results=
for word; do model=$results; results=$word; done
case $model in *shuffle*) echo "cannot run $model"; exit 7 ;; esac
[ -f "$SLOW" ] && sleep 0.05
echo "$model,0.002,0,0,0" >"$results"
echo x >>"$COUNT"
"""


@pytest.fixture(scope="module")
def kit(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("kits") / "kit"
    make_kit(place, "onnxruntime", 10, models=[])
    return place


@pytest.fixture
def copy(kit: Path, tmp_path: Path) -> Path:
    """The kit on a device whose program is a fake, with the first rows of its plan and one that fails."""
    place = tmp_path / "kit"
    shutil.copytree(kit, place, ignore=shutil.ignore_patterns("models"))
    (place / "models").mkdir()
    plan = (kit / "plan.txt").read_text().splitlines()[:ROWS]
    (place / "plan.txt").write_text("\n".join([*plan, f"{ROWS + 1} time shuffle-9 5", ""]))
    fake = tmp_path / "fake"
    fake.write_text(FAKE)
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    return tmp_path / "kit"


def environment(copy: Path) -> dict[str, str]:
    place = copy.parent
    return {
        **os.environ,
        "PROGRAM_PATH": str(place / "fake"),
        "COUNT": str(place / "count"),
        "SLOW": str(place / "slow"),
    }


def run(copy: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    command = [SHELL, str(copy / "run.sh"), *arguments]
    return subprocess.run(command, env={**environment(copy), **changes}, capture_output=True, text=True, timeout=120)


def rows_of(copy: Path) -> list[str]:
    return sorted((place.name for place in (copy / "results" / "rows").iterdir()), key=int)


def test_networks_share_one_file_of_weights(kit):
    manifest = json.loads((kit / "kit.json").read_text())
    assert {file.stem for file in (kit / "models").glob("*.onnx")} == {*manifest["networks"], "reference"}
    size = (kit / "models" / FILE).stat().st_size
    for name in manifest["networks"]:
        model = onnx.load(kit / "models" / f"{name}.onnx", load_external_data=False)
        for tensor in model.graph.initializer:
            told = {entry.key: entry.value for entry in tensor.external_data}
            if told:
                assert told["location"] == FILE
                assert int(told["offset"]) + int(told["length"]) <= size
            else:
                assert len(tensor.raw_data) <= EMBEDDED_BYTES or min(tensor.dims) >= 0
    assert sum(file.stat().st_size for file in kit.rglob("*")) < 300e6


def test_the_plan_interleaves_passes_and_the_reference():
    networks = [KitNetwork(f"n{i}", "plain", onnx.ModelProto(), 10.0) for i in range(5)]
    rows = [(kind, name) for kind, name, _ in plan_rows(networks, [])]
    profiled = [name for kind, name in rows if kind == "profile"]
    timed = [name for kind, name in rows if kind == "time" and name != "reference"]
    assert profiled == ["n0", "n1", "n2", "n3", "n4"]
    assert timed[:5] == profiled[::-1]
    assert [name for _, name in rows].count("reference") == 3 * 4
    assert rows[0] == ("time", "reference")


@pytest.mark.parametrize("name", ["my model", "m\u00fcller", "a;rm -rf x", "a$(touch b)", "line\nbreak", "reference"])
def test_a_name_that_a_script_would_take_apart_is_refused(name, small_model, tmp_path):
    path = tmp_path / f"{name}.onnx"
    shutil.copyfile(small_model, path)
    with pytest.raises(ModelError, match="rename it"):
        make_kit(tmp_path / "kit", "onnxruntime", 10, models=[path])
    assert not (tmp_path / "kit").exists()


def test_two_models_of_one_name_are_refused(small_model, tmp_path):
    paths = [tmp_path / folder / "net.onnx" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        shutil.copyfile(small_model, path)
    with pytest.raises(ModelError, match="another network of the kit is called net; rename it"):
        make_kit(tmp_path / "kit", "onnxruntime", 10, models=paths)


def test_a_budget_without_room_is_refused():
    with pytest.raises(MeasurementError, match="no room"):
        list(fill(iter([]), 10, 5))


@pytest.mark.parametrize("runtime", [name for name in NAMES if name in ("litert", "ncnn")])
def test_runtimes_whose_files_nothing_writes_are_refused_in_one_line(runtime, tmp_path):
    with pytest.raises(MeasurementError, match=f"a kit for {runtime} needs"):
        make_kit(tmp_path / "kit", runtime, 60)
    assert not list(tmp_path.iterdir())


def test_the_script_runs_every_row_once_and_fails_none_in_silence(copy):
    done = run(copy, "100000")
    assert done.returncode == 0, done.stderr
    plan = (copy / "plan.txt").read_text().splitlines()
    assert rows_of(copy) == [line.split()[0] for line in plan]
    failed = [place for place in (copy / "results" / "rows").iterdir() if (place / "failed").exists()]
    assert {place.name for place in failed} == {line.split()[0] for line in plan if "shuffle" in line}
    assert len((copy.parent / "count").read_text().split()) == len(plan) - len(failed)
    assert not (copy / "results" / "lock").exists()


def test_killed_at_any_moment_it_goes_on_and_no_row_is_lost_or_doubled(copy):
    (copy.parent / "slow").touch()
    for number, kill in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)):
        process = subprocess.Popen([SHELL, str(copy / "run.sh"), "100000"], env=environment(copy), text=True,
                                   stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        wanted = 3 * (number + 1)
        while len(list((copy / "results" / "rows").glob("[0-9]*"))) < wanted if (copy / "results").exists() else True:
            time.sleep(0.01)
        os.killpg(process.pid, kill)
        process.wait(20)
    (copy.parent / "slow").unlink()
    assert run(copy, "100000").returncode == 0
    plan = [line.split()[0] for line in (copy / "plan.txt").read_text().splitlines()]
    assert rows_of(copy) == plan
    assert all((copy / "results" / "rows" / row / "row").exists() for row in plan)
    assert run(copy, "100000").returncode == 0
    assert rows_of(copy) == plan


def test_a_row_that_kills_the_device_three_times_is_given_up(copy):
    (copy / "results" / "rows").mkdir(parents=True)
    (copy / "results" / "in_hand").write_text("1 3\n")
    assert run(copy, "100000").returncode == 0
    assert "three times" in (copy / "results" / "rows" / "1" / "failed").read_text()


def test_the_budget_counts_over_all_calls(copy):
    (copy / "results").mkdir()
    (copy / "results" / "spent").write_text("10\n")
    done = run(copy)
    assert done.returncode == 0
    assert rows_of(copy) == []


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({"PROGRAM_PATH": "/nowhere/perf"}, (), "onnxruntime_perf_test is not here"),
        ({}, ("soon",), "'soon' is no number of seconds"),
    ],
)
def test_what_is_missing_is_said_in_one_line(change, arguments, message, copy):
    done = run(copy, *arguments, **change)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_one_script_at_a_time(copy):
    lock = copy / "results" / "lock"
    lock.mkdir(parents=True)
    (lock / "pid").write_text(f"{os.getpid()}\n")
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():
        pytest.skip("this system has no id of its boot")
    (lock / "boot").write_text(boot.read_text())
    assert "is running this kit already" in run(copy).stderr
    (lock / "pid").write_text("999999999\n")
    assert run(copy, "100000").returncode == 0


def test_over_adb_the_kit_is_pushed_run_and_its_results_are_pulled(copy):
    phone = copy.parent / "phone"
    phone.mkdir()
    adb = copy.parent / "adb"
    adb.write_text(
        "#!/bin/sh\n"
        "case $1 in\n"
        "wait-for-device) ;;\n"
        'shell) shift; exec sh -c "$*" ;;\n'
        'push) cp -r "$2" "$3" ;;\n'
        'pull) cp -r "$2" "$3" ;;\n'
        "esac\n"
    )
    adb.chmod(0o755)
    (copy / "bin").mkdir()
    shutil.copy(copy.parent / "fake", copy / "bin" / "onnxruntime_perf_test")
    given = {**environment(copy), "ADB": str(adb), "KIT_PLACE": str(phone / "kit")}
    del given["PROGRAM_PATH"]
    (copy / "budget").write_text("100000\n")
    done = subprocess.run([SHELL, str(copy / "run-adb.sh")], env=given, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert rows_of(copy) == [line.split()[0] for line in (copy / "plan.txt").read_text().splitlines()]


def test_from_a_kit_to_measurements(kit, tmp_path):
    """With ONNX Runtime itself, by a program that has the options and files of onnxruntime_perf_test."""
    place = tmp_path / "kit"
    shutil.copytree(kit, place)
    lines = (place / "plan.txt").read_text().splitlines()
    small = sorted(json.loads((place / "kit.json").read_text())["networks"], key=lambda n: _flops(place, n))[:2]
    rows = [line.split() for line in lines if line.split()[2] in small]
    rows = [row for row in rows if row[1] == "profile"] + [row for row in rows if row[1] == "time"][:2]
    kept = [row for pair in rows for row in (pair, ["", "time", "reference", "3"])]
    plan = "".join(f"{i} {kind} {name} {runs}\n" for i, (_, kind, name, runs) in enumerate(kept, start=1))
    (place / "plan.txt").write_text(plan)
    program = tmp_path / "perf_test"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STAND_IN}" "$@"\n')
    program.chmod(0o755)
    done = subprocess.run([SHELL, str(place / "run.sh"), "100000"], env={**os.environ, "PROGRAM_PATH": str(program)},
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    output = tmp_path / "measured.parquet"
    report = import_profiles([place / "results"], output, MeasuredDevice(name="board"))
    measurements, fingerprint = read_measurements(output)
    assert sorted(row.network for row in measurements) == sorted(small)
    for row in measurements:
        assert row.granularity == "block"
        assert row.network.startswith(row.family)
        assert len(row.kernel_ms) == len(row.kernels) > 0
        assert row.runs >= 5
        assert row.reference_ms == pytest.approx(fingerprint["reference_ms"])
        assert 0 < row.reference_ms < 1000
    assert fingerprint["threads"] == 1
    (account,) = report["files"]
    assert account["rows"] == account["imported"] + sum(account["refused"].values())
    second = next(random_networks(0, False, 1 << 30, after=measurements))
    assert int(second.name.rpartition("-")[2]) > max(int(name.rpartition("-")[2]) for name in small)


def _flops(place: Path, name: str) -> int:
    model = onnx.load(place / "models" / f"{name}.onnx", load_external_data=False)
    return len(model.graph.node)


def test_openvino_is_told_what_the_inputs_are(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["": 18]>
    choice (bool[1] c, float[4,8] a, float[2,4,8] b, float s) => (float[2,4,8] y) { m=Where(c,a,b) y=Mul(m,s) }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "choice.onnx")
    kit = make_kit_of_models(
        tmp_path / "kit", "openvino", {"choice": tmp_path / "choice.onnx"}, AS_DECLARED, 1, 0.001
    ).path
    assert (kit / "models" / "choice.types").read_text() == "c:bool,a:f32,b:f32,s:f32"
    assert (kit / "models" / "choice.layouts").read_text() == "c[?],a[??],b[???]"
    assert (kit / "models" / "reference.layouts").read_text() == "left[??],right[??]"
    script = (kit / "runtime.sh").read_text()
    assert script.count('-iop "$(types)" -layout "$(layouts)"') == 2


@pytest.mark.parametrize("slow", [9, 10, 30])
def test_a_reference_that_is_slow_by_itself_moves_no_row_beside_it(slow):
    """One process in four takes a third longer all of its life; a machine that does is slow for many in a row."""
    alone = [(number, 1.75 if number == slow else 1.3) for number in range(0, 60, 3)]
    assert {reference_around(number, alone) for number in range(60)} == {1.3}
    state = [(number, 1.3 if number < 30 else 1.75) for number in range(0, 60, 3)]
    assert (reference_around(5, state), reference_around(55, state)) == (1.3, 1.75)
    assert reference_around(5, []) == 0.0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell the memory of a process")
def test_weights_that_were_taken_are_in_no_memory():
    """Protobuf keeps the memory of what is cleared: a kit of hundreds of networks had all of their weights in it."""

    def memory_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    weights, kept, before = SharedWeights(1 << 25), [], memory_bytes()
    for number in range(24):
        values = np.random.default_rng(number).standard_normal(1 << 22, np.float32)
        weight = onnx.numpy_helper.from_array(values, f"w{number}")
        graph = onnx.helper.make_graph([], "g", [], [], [weight])
        kept.append(weights.take(onnx.helper.make_model(graph)))
    weights.place()
    assert memory_bytes() - before < 12 * (1 << 24)  # of 24 weights of 16 MiB
    assert all(len(model.SerializeToString()) < 1000 for model in kept)
    assert {model.graph.initializer[0].name for model in kept} == {f"w{number}" for number in range(24)}
    assert all(model.graph.initializer[0].external_data[2].value == str(1 << 24) for model in kept)
