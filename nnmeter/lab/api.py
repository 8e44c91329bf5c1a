"""The lab's verbs as functions: `nnmeter.measure`, `profile`, `train`, `evaluate`, `calibrate`, `discover_fusion`.

They do what the verbs of the command line do. Importing this module imports nothing heavy; each function imports what
it needs, which `pip install 'nnmeter[lab]'` brings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from nnmeter.errors import MeasurementError, NnmeterError
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes

if TYPE_CHECKING:
    from nnmeter.devices import DevicePack
    from nnmeter.lab.campaign.campaign import CampaignProgress
    from nnmeter.lab.discovery.findings import Discovery
    from nnmeter.lab.evaluation.scorecard import Scorecard
    from nnmeter.lab.measuring.measurement import Measurement
    from nnmeter.lab.transfer.report import CalibrationReport

Path = str | os.PathLike[str]
Tell = Callable[[str], None]

_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0}


def measure(
    models: Path | Sequence[Path],
    out: Path | None = None,
    *,
    runtime: str = "onnxruntime",
    threads: int = 1,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    sizes: InputSizes = AS_DECLARED,
    append: bool = False,
    families: Mapping[str, str] | None = None,
    passes: int = 6,
    seconds_per_pass: float = 0.4,
    progress: Callable[[str, int, int], None] | None = None,
    refused: Callable[[str, NnmeterError], None] | None = None,
    on: str | None = None,
) -> list[Measurement]:
    """Time models on this machine or by wire, whole and kernel by kernel, as `nnmeter measure` does.

    After an interrupt, what was measured until then is written to `out`, and KeyboardInterrupt raised again.

    Args:
        models: path of a model file, or several; weights may be absent.
        out: measurement file (Parquet) to write; none if not given.
        runtime: name of the runtime that executes the models.
        threads: threads that execute one model.
        dims: sizes of the dimensions that the models leave free, added to `sizes.dims`.
        shapes: whole shapes of inputs, added to `sizes.shapes`.
        sizes: dimensions and shapes in one object.
        append: add to `out` if it is there; otherwise a file that is there is an error.
        families: architecture family of a model by its file name.
        passes: passes over all models.
        seconds_per_pass: time for one model in one pass, in seconds.
        progress: called with a line of text, steps done, and steps in all.
        refused: called with path and reason for a model that the runtime cannot run, which is then left out.
        on: a device that ssh or adb reaches, by its address or its name in `devices.toml`, whose runtime and threads
            count.

    Returns:
        A measurement for each model, in order; times are in milliseconds.

    Raises:
        ModelError: a model cannot be read, or dimensions remain free.
        MeasurementError: the runtime is not installed or refuses a model, or `out` is there, or of another device.
    """
    from nnmeter.lab.measuring.sitting import measure_sitting
    from nnmeter.lab.wire.board import find_board
    from nnmeter.lab.wire.stands import open_stand

    there = out is not None and os.path.exists(out)
    with open_stand(None if on is None else find_board(on), runtime, threads, append=there) as stand:
        done = measure_sitting(
            _several(models),
            stand,
            sizes.updated(dims, shapes),
            out,
            append,
            families=families,
            passes=passes,
            seconds_per_pass=seconds_per_pass,
            progress=progress,
            refused=refused,
        )
    if done.interrupted:
        raise KeyboardInterrupt
    return list(done.measurements)


def profile(
    out: Path,
    budget: float | str = "20m",
    *,
    runtime: str = "onnxruntime",
    threads: int = 1,
    until: float | None = None,
    resume: bool = False,
    seed: int = 0,
    like: Sequence[Path] = (),
    device: Path | None = None,
    sizes: InputSizes = AS_DECLARED,
    progress: Callable[[CampaignProgress], None] | None = None,
    on: str | None = None,
) -> CampaignProgress:
    """Measure the kernels of random networks, or of models, to train a predictor on, as `nnmeter profile` does.

    A process of its own measures, or a device by wire; what it has is on disk half a minute later at the latest.

    Args:
        out: directory for the measurements.
        budget: how long to measure: seconds, or a text such as "20m", "1h30m", "90s".
        runtime: name of the runtime.
        threads: threads that execute one network.
        until: stop earlier, when the cross-validated error of whole networks is reached: 0.03 for 3 %.
        resume: go on with the campaign that is in `out`; otherwise one that is there is an error.
        seed: first seed of a new campaign.
        like: paths of ONNX models whose kernels are measured, in cuts of them.
        device: with `like`: measure above all the kernels outside of the trained range of this pack, by id or path.
        sizes: with `like`: what the models leave open; dimensions, shapes and assumed shapes.
        progress: told after every network how far it is.
        on: a device by wire, by its address (`ssh://user@board`) or its name in `devices.toml`, whose runtime and
            threads count.

    Returns:
        What was measured.

    Raises:
        MeasurementError: the runtime is not installed, or `out` holds a campaign of another device.
        ModelError: a model of `like` cannot be read.
    """
    from nnmeter.lab.campaign.supervisor import run_supervised_campaign

    if not like and (device is not None or sizes != AS_DECLARED):
        raise MeasurementError("device and sizes are about the models of like; give those too")
    models: dict[str, Any] | None = None
    if like:
        models = {
            "paths": [os.fspath(path) for path in like], "dims": dict(sizes.dims), "shapes": dict(sizes.shapes),
            "assume": dict(sizes.assume), "device": None if device is None else os.fspath(device),
        }  # fmt: skip
    if on is not None:
        from nnmeter.lab.wire.board import find_board
        from nnmeter.lab.wire.campaign import run_campaign_on

        board = find_board(on).filled(runtime, threads)
        return run_campaign_on(out, board, _seconds(budget), seed, progress, resume, until, models)
    return run_supervised_campaign(out, runtime, threads, _seconds(budget), seed, progress, resume, until, models)


def train(
    sources: Path | Sequence[Path],
    out: Path,
    *,
    regressor: Literal["lightgbm", "random-forest"] = "lightgbm",
    device_id: str | None = None,
    rules: Path | None = None,
    prior: Path | None = None,
    seed: int = 0,
    progress: Tell | None = None,
) -> DevicePack:
    """Train a predictor on measurements and write it as a device pack, as `nnmeter train` does.

    Args:
        sources: measurement files, and directories that `profile` wrote, all of one device; one or several.
        out: directory of the pack.
        regressor: what learns the ratio to the roofline.
        device_id: id of the device; made from processor, runtime and threads if not given.
        rules: fusion rules, a file or the name of a rule set; those of the runtime that was measured if not given.
        prior: pack of a like device to start from, where whole networks are all that was measured.
        seed: makes training repeatable.
        progress: told what is being done, a line at a time.

    Returns:
        The pack; `nnmeter.predict(model, pack)` takes it.

    Raises:
        MeasurementError: measurements are missing, damaged, too few, or of several devices.
        DeviceError: the rules are faulty, or `out` is something else than a pack.
    """
    from nnmeter.lab.training.build import build_pack

    return build_pack(_several(sources), out, regressor, device_id, rules, progress, seed, prior)


def evaluate(
    device: Path | DevicePack,
    measurements: Path | Sequence[Path],
    models: Path | None = None,
    *,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    sizes: InputSizes = AS_DECLARED,
    training: Path | Sequence[Path] = (),
    families: Mapping[str, str] | Path | None = None,
    confidence: float = 0.9,
    split: str | None = None,
    save: bool = False,
    progress: Tell | None = None,
) -> Scorecard:
    """Compare the predictions of a device pack with measurements of whole models, as `nnmeter evaluate` does.

    Args:
        device: id or path of the pack, or the pack.
        measurements: files that `measure` wrote, all of one device; one or several.
        models: folder of the model files, to predict from them as `predict` does; the kernels that the runtime
            executed are priced if not given.
        dims: sizes of the dimensions that the models leave free, added to `sizes.dims`.
        shapes: whole shapes of inputs, added to `sizes.shapes`.
        sizes: dimensions and shapes in one object, as the models were measured.
        training: what the pack was trained on, which adds a baseline and leaves out models that were trained on.
        families: architecture family by model, or a CSV file with the columns model and family.
        confidence: of the intervals: 0.5, 0.8, 0.9 or 0.95.
        split: how the models were kept apart from training, in words, for the scorecard.
        save: store the scorecard in the pack.
        progress: told the name of each model.

    Returns:
        The scorecard: `card.overall`, `card.kernels`, `card.noise_floor`; shares are in per cent.

    Raises:
        DeviceError: the pack is unknown or damaged.
        MeasurementError: no whole model was measured, or the file of one is not in `models`.
    """
    from nnmeter.devices import DevicePack, load_pack, save_scorecard
    from nnmeter.lab.evaluation.evaluate import SPLIT, evaluate_pack, read_families
    from nnmeter.lab.training.build import read_all

    pack = device if isinstance(device, DevicePack) else load_pack(device)
    rows, fingerprint = read_all(_several(measurements))
    given = sizes.updated(dims, shapes)
    trained_on = _several(training)
    card = evaluate_pack(
        pack,
        rows,
        read_families(families) if isinstance(families, str | os.PathLike) else families,
        models,
        confidence=confidence,
        split=split or SPLIT,
        progress=progress,
        training=read_all(trained_on)[0] if trained_on else None,
        fingerprint=fingerprint,
        dims=given.dims,  # type: ignore[arg-type]  # several sizes for one are refused where it is bound
        shapes=given.shapes,  # type: ignore[arg-type]
    )
    if save:
        save_scorecard(pack, card.to_dict())
    return card


def calibrate(
    device: Path | DevicePack,
    measurements: Path | Sequence[Path],
    out: Path,
    *,
    only: Sequence[str] = (),
    limit: int | None = None,
    candidates: Path | None = None,
    sizes: InputSizes = AS_DECLARED,
    rules: Path | None = None,
    device_id: str | None = None,
    repeats: int = 20,
    seed: int = 0,
    progress: Tell | None = None,
) -> tuple[DevicePack, CalibrationReport]:
    """Calibrate a device pack to a near device with 5 to 50 measurements, as `nnmeter calibrate` does.

    Args:
        device: id or path of the pack of the first device, or the pack.
        measurements: files that `measure` wrote on the near device; one or several.
        out: directory of the new pack.
        only: names of the measured models to calibrate on; all if empty.
        limit: calibrate on the first so many measurements.
        candidates: folder of models that could be measured next.
        sizes: dimensions and shapes of the candidates.
        rules: fusion rules, a file or the name of a rule set; those of the first pack, or of the runtime if not given.
        device_id: id of the near device; made from processor, runtime and threads if not given.
        repeats: random draws for each point of the learning curve; 0 for no curve.
        seed: of the draws.
        progress: told what is being done, a line at a time.

    Returns:
        The new pack, and the report: errors, learning curve, and what to measure next.

    Raises:
        DeviceError: the pack is unknown or damaged, or `out` is something else than a pack.
        MeasurementError: measurements are missing, damaged, or of several devices.
        ModelError: a candidate cannot be read.
    """
    from nnmeter.devices import DevicePack, load_pack
    from nnmeter.lab.transfer.calibrate import calibrate_pack

    return calibrate_pack(
        device if isinstance(device, DevicePack) else load_pack(device),
        _several(measurements),
        out,
        only=only,
        limit=limit,
        candidates=candidates,
        rules=rules,
        device_id=device_id,
        repeats=repeats,
        seed=seed,
        dims=sizes.dims,  # type: ignore[arg-type]  # several sizes for one are refused where it is bound
        shapes=sizes.shapes,  # type: ignore[arg-type]
        progress=progress,
    )


def discover_fusion(
    out: Path | None = None,
    budget: float | str = "5m",
    *,
    runtime: str = "onnxruntime",
    threads: int = 1,
    black_box: bool = True,
    white_box: bool = True,
    against: Path | None = None,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Discovery:
    """Find out which operators a runtime makes one kernel of, as `nnmeter fusion` does.

    Args:
        out: file for the fusion rules (JSON); none if not given.
        budget: how long to measure: seconds, or a text such as "5m".
        runtime: name of the runtime.
        threads: threads that execute a model.
        black_box: compare times.
        white_box: ask the runtime for the kernels that it executes, where it tells.
        against: fusion rules to compare with, a file or the name of a rule set.
        seed: of weights, inputs and order.
        progress: called with a line of text, tests done, and tests in all.

    Returns:
        What was found, test by test.

    Raises:
        MeasurementError: the runtime is not installed, or refuses every model.
    """
    import json

    from nnmeter.files import write_whole
    from nnmeter.fusion.loading import load_rules
    from nnmeter.lab.discovery import campaign
    from nnmeter.lab.discovery.ruleset import rules_of
    from nnmeter.lab.runtimes import load_runtime

    discovery = campaign.discover_fusion(
        load_runtime(runtime),
        threads,
        _seconds(budget),
        black_box=black_box,
        white_box=white_box,
        shipped=None if against is None else load_rules(against),
        seed=seed,
        progress=progress,
    )
    if out is not None:
        write_whole(out, json.dumps(rules_of(discovery), indent=1) + "\n")
    return discovery


def _several(paths: Path | Sequence[Path]) -> list[Path]:
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


def _seconds(budget: float | str) -> float:
    """Seconds from a number of them, or from `20m`, `1h30m`, `90s`."""
    if not isinstance(budget, str):
        return float(budget)
    if not re.fullmatch(r"(\d+(\.\d+)?[hms])+", budget):
        raise MeasurementError(f"budget {budget!r} is no time; give seconds, or a text such as 20m, 1h30m or 90s")
    return sum(float(number) * _UNITS_S[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)([hms])", budget))
