"""Campaigns in a worker process, with a runtime that brings it down."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign.supervisor import run_supervised_campaign
from nnmeter.lab.campaign.verification import verify_measurements
from nnmeter.lab.campaign.worker import INTERRUPTED
from nnmeter.lab.measuring import store
from tests.conftest import REPOSITORY

pytest.importorskip("pyarrow")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals")
ROOT = Path(__file__).parents[3]
RUNTIME = """
import os, signal
from tests.lab.campaign.conftest import FakeRuntime

class Fragile(FakeRuntime):
    name = "fragile"
    def compile(self, model, threads=1, *, seed=0, **options):
        if hasattr(model, "graph") and seed == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().compile(model, threads, seed=seed, **options)

class Dead(FakeRuntime):
    def version(self):
        os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Two runtimes, installed where the worker looks as well: it has the paths of this process."""
    place = tmp_path / "site"
    (place / "fragile-1.0.dist-info").mkdir(parents=True)
    (place / "fragile.py").write_text(RUNTIME)
    (place / "fragile-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: fragile\nVersion: 1.0\n")
    (place / "fragile-1.0.dist-info" / "entry_points.txt").write_text(
        "[nnmeter.runtimes]\nfragile = fragile:Fragile\ndead = fragile:Dead\n"
    )
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.chdir(tmp_path)  # whatever lies in the working directory, a worker does not import it
    return place


def seeds_in(folder):
    rows = store.read_measurements(folder)[0] if store.part_files(folder) else []
    return [int(row.network.rpartition("-")[2]) for row in rows]


def test_network_that_crashes_the_runtime_costs_only_itself(installed, tmp_path):
    campaign = tmp_path / "campaign"
    counted = 0
    for attempt in range(7):  # a busy machine may need more than one budget
        done = run_supervised_campaign(campaign, "fragile", budget_s=3.0 * 2**attempt)
        counted += done.networks
        if 3 in seeds_in(campaign):
            break
    assert counted == len(seeds_in(campaign)), "what a death took with it is not counted"
    assert done.peak_bytes > 0
    seeds = seeds_in(campaign)
    assert seeds == [seed for seed in range(max(seeds) + 1) if seed != 2]
    log = [json.loads(line) for line in (campaign / "refused.jsonl").read_text().splitlines()]
    assert [(entry["seed"], entry["reason"][:4]) for entry in log] == [(2, "died")]
    assert verify_measurements(campaign).problems == ()


def test_worker_that_dies_before_it_begins_is_not_started_again(installed, tmp_path):
    with pytest.raises(MeasurementError, match=r"ended by itself \(exit code -11\) before a network was begun"):
        run_supervised_campaign(tmp_path / "campaign", "dead", budget_s=60.0)


def test_what_the_worker_complains_of_is_raised_here(tmp_path):
    with pytest.raises(MeasurementError, match="runtime 'abacus' is unknown"):
        run_supervised_campaign(tmp_path / "campaign", "abacus", budget_s=60.0)


def test_worker_that_is_left_alone_writes_what_it_has_and_ends(installed, tmp_path):
    campaign = tmp_path / "campaign"
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; from nnmeter.lab.campaign.supervisor import run_supervised_campaign; "
        f"run_supervised_campaign({str(campaign)!r}, 'fragile', budget_s=1e6, seed=10)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    _wait_for(lambda: (campaign / "plan.json").exists())
    time.sleep(0.3)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _wait_for(lambda: store.part_files(campaign))
    assert seeds_in(campaign)[0] == 10
    run_supervised_campaign(campaign, "fragile", budget_s=0.1)
    assert verify_measurements(campaign).problems == ()


@pytest.mark.parametrize("whole_group", [False, True])
def test_campaign_that_is_asked_to_end_writes_what_it_has(installed, tmp_path, whole_group):
    """By SIGTERM to the process that was started, as `kill` does, or to all of them, as batch systems do."""
    campaign = tmp_path / "campaign"
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; from nnmeter.cli.main import main; "
        f"main(['profile', '--out', {str(campaign)!r}, '--runtime', 'fragile', '--budget', '1h', '--seed', '10'])"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stderr=subprocess.PIPE)
    _wait_for(lambda: (campaign / "plan.json").exists())
    time.sleep(0.3)
    written = len(seeds_in(campaign))
    (os.killpg if whole_group else os.kill)(parent.pid, signal.SIGTERM)
    _, complaint = parent.communicate(timeout=300)
    assert parent.returncode == 128 + signal.SIGTERM
    assert b"Traceback" not in complaint
    assert seeds_in(campaign)[0] == 10
    assert len(seeds_in(campaign)) >= written
    assert not (campaign / "in-hand").exists()
    assert verify_measurements(campaign).problems == ()


def _wait_for(condition):
    end = time.monotonic() + 300
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it never came to that")


def test_worker_that_is_left_alone_with_an_error_ends_without_a_traceback(tmp_path):
    """Its directory may go together with who started it."""
    pytest.importorskip("onnxruntime")
    (tmp_path / "file").touch()
    job = {"out_dir": str(tmp_path / "file" / "c"), "runtime": "onnxruntime", "threads": 1, "budget_s": 1.0, "seed": 0,
           "resume": True, "until": None}  # fmt: skip
    script = "from nnmeter.lab.campaign.worker import main; main()"
    worker = subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(job)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    worker.stdout.close()
    assert worker.stderr.read() == ""
    assert worker.wait() == INTERRUPTED
    worker.stdin.close()
    worker.stderr.close()


def test_a_worker_that_has_told_its_last_line_ends_in_peace():
    """The supervisor lets go then, which interrupts; what is left is the interpreter's end, and no traceback."""
    code = (
        "import _thread, os, signal, time\n"
        "from nnmeter.lab.campaign import worker\n"
        "worker._listen_to_signals()\n"
        "worker._say_last('done', {})\n"
        "_thread.interrupt_main()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "time.sleep(0.1)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, '{"done": {}}\n', "")
