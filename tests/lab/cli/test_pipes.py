"""A pipe where a file is to be read: refused by every verb, and never waited for."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

from nnmeter.cli.main import VERBS
from tests.lab.cli.test_training import FINGERPRINT, made_up

pytest.importorskip("pyarrow")

_PATIENCE_S = 30  # what waits for a pipe does so for ever

# For each verb, every place where it reads a file. `pipe` is one, `packs` and `folder` hold one, all else is sound.
READS = """
predict pipe --device pack
predict folder --device pack
predict model --device pipe
predict model --device packs
kernels pipe --device pack
kernels model --device pipe
compare model pipe --device pack
what-if pipe --quantize qdq --device pack
sweep pipe --over input:0=1,2 --device pack
advise pipe --device pack
memory pipe --device pack
prune pipe --budget 60% --device pack
prune model --budget 60% --device pack --sensitivity pipe
prune model --device pack --masks pipe
sparsity pipe --read-weights --device pack
sparsity model --zeros *=0.8 --device pack --sparse-kernels pipe
sparsity model --zeros *=0.8 --device pack --sparse-kernels folder
report pipe --device pack --html out.html
report model --device pack --html out.html --baseline pipe
check pipe
check budget
check baseline
devices show pipe
devices add pipe
devices refresh pack --before pipe --out moved
devices refresh pipe --out moved
measure pipe --out out.parquet
measure model --out out.parquet --families pipe
measure model --out pipe --append --taken 3 --on pack
measure model --out out.parquet --taken 3 --on pipe
profile --like pipe --out out
profile --verify pipe
profile --verify campaign
profile --merge campaign --out out
profile --cluster pipe --out out
import nn-meter-26k pipe --out out
import nn-meter-26k folder --out out
import v100-tensorrt pipe --out out
import v100-tensorrt folder --out out
import phones-qed-usc pipe --out out
import phones-qed-usc folder --out out
import profile rows --families pipe --out out.parquet
train pipe --out out
train campaign --out out
train rows --out out --rules pipe
train rows --out out --prior pipe
evaluate pipe --measurements rows
evaluate pack --measurements pipe
evaluate pack --measurements rows --models folder
evaluate pack --measurements rows --training pipe
evaluate pack --measurements rows --families pipe
fusion --out out --against pipe
kit --runtime onnxruntime --no-models --after pipe --out out
calibrate pipe --measurements rows --out out
calibrate pack --measurements pipe --out out
calibrate pack --measurements rows --out out --candidates folder
calibrate pack --measurements rows --out out --rules pipe
calibrate pack --measurements rows --out out --mix pipe
""".strip().splitlines()

# Parameters that are files to be written, or names of something else than a file.
WRITTEN = frozenset("output html save trace node_data junit benchmark plot directory rules_file page".split())


@pytest.fixture
def places(tmp_path: Path, small_model: Path, small_pack: Path) -> dict[str, Path]:
    """What `READS` names, as paths."""
    from nnmeter.lab.measuring.store import write_measurements

    made = {name: tmp_path / name for name in ("pipe", "folder", "packs", "campaign", "budget", "baseline")}
    os.mkfifo(made["pipe"])
    for name, files in {
        "folder": ("m.onnx", "networks.jsonl.gz", "conv_fp32.txt", "tflite_cnn_e2e.csv.gz", "sparse.json"),
        "packs": ("manifest.json",),
        "campaign": ("part-0000000-0000010.parquet", "campaign.json", "lock", "refused.jsonl", "in_hand"),
    }.items():
        made[name].mkdir()
        for file in files:
            os.mkfifo(made[name] / file)
    budget = f'device = "{small_pack}"\n[[budget]]\nmodels = "{{}}"\n{{}}\n'
    made["budget"].write_text(budget.format(made["pipe"], "max_ms = 1"))
    grown = f'baseline = "{made["pipe"]}"\n' + budget.format(small_model, "max_growth_percent = 5")
    made["baseline"].write_text(grown)
    rows = tmp_path / "rows.parquet"
    write_measurements(rows, made_up("model", 6, 1), FINGERPRINT)
    return {**made, "rows": rows, "model": small_model, "pack": small_pack}


@pytest.fixture
def impatient() -> Iterator[None]:
    """Ends what waits."""

    def ring(number: int, frame: object) -> None:
        raise AssertionError("it waits for a pipe")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(_PATIENCE_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("line", READS)
def test_a_pipe_is_refused_and_not_waited_for(
    cli: Callable, places: dict[str, Path], impatient: None, line: str
) -> None:
    outcome = cli(*[places.get(word, word) for word in line.split()])
    assert outcome.code == 2, outcome.err
    assert outcome.out == ""
    assert any(str(places[name]) in outcome.error_line for name in ("pipe", "folder", "campaign")) or (
        "packs/manifest.json: not a regular file" in outcome.error_line
    )


def test_every_file_that_a_verb_reads_is_tried() -> None:
    tried = " ".join(READS)
    for verb, (module, _) in VERBS.items():
        for command in _commands(import_module(module).command):
            for parameter in command.params:
                is_file = isinstance(parameter.type, click.Path) or "FILE" in str(parameter.metavar)
                if is_file and parameter.name not in WRITTEN and parameter.param_type_name == "option":
                    assert f"{max(parameter.opts, key=len)} " in tried, f"{verb} {parameter.name}"


def _commands(command: click.Command) -> list[click.Command]:
    return [command, *command.commands.values()] if isinstance(command, click.Group) else [command]
