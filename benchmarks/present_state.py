"""What `nnmeter predict --here` brings: models of one machine in another state than that of its pack.

    python benchmarks/present_state.py [--pack ID] [--networks FILE] [--models FILE] [--counts 20,40,110]

1. NETWORKS are the networks that every campaign begins with, and MODELS whole models, both measured in the same hour of
   the machine that the pack is of. Nothing was trained on either.
2. The models' executed kernels are priced by the pack, and rescaled by the reference product alone, by one factor of
   all kernels, and by family (`nnmeter.lab.transfer.here`), as far as the first of the networks tell; `nnmeter setup`
   measures 110 to 170 a minute. Figures are of real milliseconds in the state of the models.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nnmeter.devices import load_pack
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.lab.transfer.here import MachineState, state_of
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.prediction.prediction import Prediction

DATA = Path(__file__).resolve().parent.parent / "data" / "epyc-f25m1-onnxruntime1.32-1t"


def main() -> int:
    parser = argparse.ArgumentParser(description="Score predictions that are brought to the present state.")
    parser.add_argument("--pack", default="epyc-milan-onnxruntime1.32-1t")
    parser.add_argument("--networks", type=Path, default=DATA / "setup-2m.parquet")
    parser.add_argument("--models", type=Path, default=DATA / "models-2.parquet")
    parser.add_argument("--counts", default="20,40,110")
    options = parser.parse_args()
    pack = load_pack(options.pack)
    networks, fingerprint = read_measurements(options.networks)
    reference_ms = fingerprint["reference_ms"]
    models = [m.at_reference(reference_ms) for m in read_measurements(options.models)[0]]
    measured = np.array([m.latency_ms for m in models])
    predictor = LatencyPredictor(pack)
    plain = [predictor.price(m.network, [Kernel(str(i), s, ()) for i, s in enumerate(m.kernels)]) for m in models]
    alone = state_of(pack, [], reference_ms)
    print(f"reference {reference_ms:.3f} ms now, {alone.trained_ms:.3f} ms when {pack.id} was measured")
    print(f"{'':<34}  ±5 %  ±10 %   MAPE    bias  holds  half width")
    show("as it is", plain, measured, lambda p: p)
    show("by the reference product", plain, measured, alone.rescale)
    for count in map(int, options.counts.split(",")):
        state = state_of(pack, networks[:count], reference_ms)
        one: MachineState = replace(state, families={})
        show(f"by {state.networks} networks, one factor", plain, measured, one.rescale)
        show(f"by {state.networks} networks, families", plain, measured, state.rescale)
        factors = ", ".join(f"{name} {value:.2f}" for name, value in sorted(state.families.items()))
        print(f"    all {state.usual or state.factor:.2f}; {factors}")
    return 0


def show(
    title: str, plain: Sequence[Prediction], measured: np.ndarray, rescale: Callable[[Prediction], Prediction]
) -> None:
    """One line of figures (rule 2)."""
    found = [rescale(p) for p in plain]
    error = np.array([p.latency_ms for p in found]) / measured - 1
    holds = np.mean([m in p.interval_ms for p, m in zip(found, measured, strict=True)])
    width = np.median([(p.interval_ms.high - p.interval_ms.low) / 2 / p.latency_ms for p in found])
    print(
        f"{title:<34}{100 * np.mean(abs(error) <= 0.05):6.1f} {100 * np.mean(abs(error) <= 0.10):6.1f} "
        f"{100 * np.mean(abs(error)):6.1f} {100 * np.median(error):+7.1f} {100 * holds:6.1f} {100 * width:10.1f} %"
    )


if __name__ == "__main__":
    sys.exit(main())
