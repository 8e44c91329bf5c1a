"""What campaigns give on a new machine, short ones over the packs of others and whole ones: errors and intervals.

    python benchmarks/short_campaigns.py [--networks 110 550] [--from-nothing] [--each]
    python benchmarks/short_campaigns.py --same-hour  # models and networks of one hour
    python benchmarks/short_campaigns.py --campaigns  # whole ones from nothing, some minutes each
    python benchmarks/short_campaigns.py --save       # writes nnmeter/lab/training/real_networks.json, of what it did

1. Three servers have measured models and a campaign, or the first minutes of one, in `data`: an Ice Lake, a Zen 4 and a
   Zen 3 core. Each is the new machine once; the packs of the others, mixed where there are two, are the prior
   (`nnmeter.lab.training.continued`). The pack of the Zen 3 core, which was made later, is the prior of none: these are
   figures of a machine without a pack.
2. The first networks of the new machine's campaign are trained on; its models of `data/zoo` are scored, none of which
   was trained on, at the kernels that were measured, in the state of the machine that the campaign is of. `--each`
   starts from single packs as well, `--from-nothing` from none, which takes ten times as long.
3. Intervals are fitted to random networks. The ratio of a machine is, by confidence, the quantile of the models' errors
   over the half widths of these intervals, the geometric mean over the numbers of networks; that of all machines is the
   largest of theirs, for they are few. What intervals hold is told with the ratio of the other machines.
4. `--campaigns`: whole campaigns are trained on as `nnmeter train` does, each alone, and score all models of their
   machine that were measured, those of the zoo and those of the development set, in other states of the machine among
   them. Their ratios are made in the same way.
5. `--same-hour`: a short campaign says less of models that were measured in another state of the machine. The first
   networks of a campaign of the Zen 3 server are trained on, and the development models that were measured right before
   it are scored, with the intervals that ship.
6. From the first to the last number of networks errors fall as a power of it: `DECAY` of `nnmeter.lab.transfer.setup`
   is the mean of the exponents.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nnmeter.devices import load_pack
from nnmeter.errors import MeasurementError
from nnmeter.lab.measuring.clock import state_of_clock
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.lab.training.build import read_all
from nnmeter.lab.training.paths import with_sampled_paths
from nnmeter.lab.training.real_networks import CAMPAIGN, OVER_PRIOR, RATIO_FILE, ratios
from nnmeter.lab.training.train import fit_predictor
from nnmeter.predictor import KernelPredictor
from nnmeter.predictor.shares import mix_predictors

DATA = Path(__file__).resolve().parent.parent / "data"
ZEN_4, ICE_LAKE, ZEN_3 = (
    "epyc-genoa-onnxruntime1.32-1t", "xeon-icelake-onnxruntime1.32-1t", "epyc-f25m1-onnxruntime1.32-1t",
)  # fmt: skip
# New machine -> the packs that it starts from, the better one first, its campaign, or as much of it as there is, and
# its measured models.
MACHINES: dict[str, tuple[tuple[str, ...], str, str]] = {
    ZEN_4: ((ICE_LAKE,), "campaign-earlier.parquet", "models-earlier.parquet"),
    ICE_LAKE: ((ZEN_4,), "campaign.parquet", "models.parquet"),
    ZEN_3: ((ZEN_4, ICE_LAKE), "setup-5m.parquet", "models.parquet"),
}
SAME_HOUR = {ZEN_3: ((ZEN_4, ICE_LAKE), "campaign-4.parquet", "development-2.parquet")}
# Machine -> its campaigns, each to be trained on alone, and its measured models. Of the Zen 3 server those campaigns
# that were measured in the same hour as one of its files of development models.
CAMPAIGNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    ZEN_4: (("campaign-earlier.parquet",), ("models-earlier.parquet",)),
    ICE_LAKE: (("campaign.parquet",), ("models.parquet",)),
    ZEN_3: (
        ("campaign.parquet", "campaign-4.parquet"),
        ("models.parquet", "development.parquet", "development-2.parquet"),
    ),
}

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Scored:
    """What one predictor says of the models of a machine.

    Attributes:
        errors: log(measured / predicted) of each model.
        halves: half widths of its log intervals, as fitted to random networks, by confidence.
    """

    errors: Array
    halves: Mapping[float, Array]

    def ratio(self, confidence: float) -> float:
        """Rule 3."""
        return float(np.quantile(np.abs(self.errors) / self.halves[confidence], confidence))

    def held(self, confidence: float, ratio: float) -> float:
        """Per cent of the models inside of intervals that are so much narrower."""
        return 100.0 * float(np.mean(np.abs(self.errors) <= ratio * self.halves[confidence]))

    def describe(self) -> str:
        """Errors in words."""
        error = np.abs(np.exp(-self.errors) - 1.0)
        return (
            f"±5 % {100 * np.mean(error <= 0.05):.1f}, ±10 % {100 * np.mean(error <= 0.10):.1f}, "
            f"MAPE {100 * error.mean():.2f}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", type=int, nargs="+", default=[110, 550])
    parser.add_argument("--each", action="store_true", help="start from single packs as well")
    parser.add_argument("--from-nothing", action="store_true", help="train without a prior as well")
    parser.add_argument("--same-hour", action="store_true", help="a campaign and models of the same hour (rule 5)")
    parser.add_argument("--campaigns", action="store_true", help="whole campaigns from nothing in place of short ones")
    parser.add_argument("--save", action="store_true", help=f"write {RATIO_FILE}")
    options = parser.parse_args()
    if options.same_hour:
        if options.campaigns or options.save:
            parser.error("--same-hour goes with neither --campaigns nor --save")
        same_hour(options)
        return 0
    way = CAMPAIGN if options.campaigns else OVER_PRIOR
    scored = whole_campaigns() if options.campaigns else short_campaigns(MACHINES, options)
    confidences = sorted(ratios(way))
    learnt = {machine: ratio_of(rows, confidences) for machine, rows in scored.items()}
    rows = []
    for machine, own in scored.items():
        others = largest_ratio([ratio for name, ratio in learnt.items() if name != machine])
        held = {c: float(np.mean([s.held(c, others[c]) for s in own])) for c in confidences}
        width = float(np.median([np.median(s.halves[0.9]) * others[0.9] for s in own]))
        rows.append({"machine": machine, "ratio": rounded(learnt[machine]), "held": rounded(held, 1)})
        print(
            f"{machine}: ratio {rounded(learnt[machine])}; with that of the others intervals hold {rounded(held, 1)}, "
            f"90 % ones having a half width of {100 * width:.1f} %"
        )
    if not options.campaigns:
        exponents = [decay(own, options.networks) for own in scored.values() if len(own) > 1]
        if exponents:
            each = np.round(exponents, 3).tolist()
            print(f"errors fall with the power {np.mean(exponents):.3f} of the number of networks, by machine {each}")
    if options.save:
        document = json.loads(RATIO_FILE.read_text(encoding="utf-8"))
        document["made_with"] = "python benchmarks/short_campaigns.py --save, and the same with --campaigns"
        document[way] = {"ratio": rounded(largest_ratio(list(learnt.values()))), "left_out": rows}
        RATIO_FILE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {RATIO_FILE}")
    return 0


def short_campaigns(
    machines: Mapping[str, tuple[tuple[str, ...], str, str]], options: argparse.Namespace
) -> dict[str, list[Scored]]:
    """Rules 1 to 3."""
    scored: dict[str, list[Scored]] = {}
    for machine, (packs, file, scored_file) in machines.items():
        campaign, models = in_its_state(read_measurements(DATA / machine / file)[0], DATA / machine / scored_file)
        starts: dict[str, KernelPredictor | None] = {
            " + ".join(packs): mix_predictors([load_pack(one).predictor for one in packs])
        }
        if options.each and packs[1:]:
            starts |= {one: load_pack(one).predictor for one in packs}
        if options.from_nothing:
            starts["nothing"] = None
        print(machine)
        for count in options.networks:
            for name, start in starts.items():
                began = time.perf_counter()
                predictor, _ = fit_predictor(campaign[:count], prior=start)
                found = score(predictor, models, None if options.same_hour else OVER_PRIOR if start else CAMPAIGN)
                took_s = time.perf_counter() - began
                if name == " + ".join(packs):
                    scored.setdefault(machine, []).append(found)
                print(f"  {count:5} networks over {name}: {found.describe()}; in {took_s:.0f} s", flush=True)
    return scored


def same_hour(options: argparse.Namespace) -> None:
    """Rule 5."""
    for machine, own in short_campaigns(SAME_HOUR, options).items():
        for count, found in zip(options.networks, own, strict=True):
            print(
                f"{machine}, {count} networks: 90 % intervals hold {found.held(0.9, 1.0):.1f} % of {len(found.errors)} "
                f"models, with a median half width of {100 * float(np.median(found.halves[0.9])):.1f} %"
            )


def whole_campaigns() -> dict[str, list[Scored]]:
    """Rule 4."""
    scored: dict[str, list[Scored]] = {}
    for machine, (campaigns, files) in CAMPAIGNS.items():
        for name in campaigns:
            began = time.perf_counter()
            raw, _ = read_all([DATA / machine / name])
            campaign, _ = in_its_state(raw)
            predictor, _ = fit_predictor(campaign)
            predictor = with_sampled_paths(predictor, (kernel for row in campaign for kernel in row.kernels))
            took_s = time.perf_counter() - began
            for file in files:
                _, models = in_its_state(raw, DATA / machine / file)
                found = score(predictor, models, CAMPAIGN)
                scored.setdefault(machine, []).append(found)
                print(f"{machine}, {name} on {file}: {found.describe()}; in {took_s:.0f} s", flush=True)
    return scored


def in_its_state(
    campaign: Sequence[Measurement], models: Path | None = None
) -> tuple[list[Measurement], list[Measurement]]:
    """A campaign as its clock showed it, and models of the same machine in that state."""
    state = state_of_clock(campaign)
    if state is None:
        raise MeasurementError("no network of this campaign was timed whole")
    return state.bring(campaign), [] if models is None else state.bring(read_measurements(models)[0])


def score(predictor: KernelPredictor, models: Sequence[Measurement], way: str | None) -> Scored:
    """What a predictor says of models.

    Its intervals were narrowed already, by the ratio of a way of training, and know of other states of the machine:
    both is undone. With `None` they are as they ship.
    """
    model = predictor.intervals
    if way is not None:
        model = replace(model, multipliers={c: m / ratios(way)[c] for c, m in model.multipliers.items()}, states={})
    errors: list[float] = []
    halves: dict[float, list[float]] = {c: [] for c in model.multipliers}
    for measured in models:
        prices = predictor.price_network(measured.kernels)
        total = sum(price.latency_ms for price in prices) + predictor.overhead_ms
        errors.append(float(np.log(measured.latency_ms / total)))
        for confidence, found in halves.items():
            found.append(float(np.log(total / model.interval_ms(total, prices, confidence)[0])))
    return Scored(np.array(errors), {c: np.array(found) for c, found in halves.items()})


def ratio_of(own: Sequence[Scored], confidences: Sequence[float]) -> dict[float, float]:
    """Of one machine (rule 3)."""
    return {c: float(np.exp(np.mean([np.log(s.ratio(c)) for s in own]))) for c in confidences}


def largest_ratio(learnt: Sequence[Mapping[float, float]]) -> dict[float, float]:
    """Of several machines (rule 3)."""
    return {c: max(one[c] for one in learnt) for c in learnt[0]}


def rounded(values: Mapping[float, float], digits: int = 3) -> dict[str, float]:
    return {str(c): round(value, digits) for c, value in values.items()}


def decay(own: Sequence[Scored], networks: Sequence[int]) -> float:
    """Rule 6."""
    first, last = (np.mean(np.abs(np.exp(-s.errors) - 1.0)) for s in (own[0], own[-1]))
    return float(np.log(first / last) / np.log(networks[-1] / networks[0]))


if __name__ == "__main__":
    sys.exit(main())
