"""Coverage-guided fuzzing of the reader of models and the loader of device packs, for a bounded time.

    pip install -e '.[fuzz]'
    python benchmarks/fuzz/fuzz_run.py --seconds 600

Prints for each target the executions, the slowest input, the peak of memory and how much code was reached, and ends
with code 1 if anything was found; the input is then in the corpus directory as `reader-crash-*`, `packs-timeout-*` or
the like, and `python benchmarks/fuzz/fuzz_reader.py FILE` runs it again. An exception that is no `NnmeterError` is a
find, and so is an input that takes more than 5 seconds or 1 GB. The corpus grows from run to run and is not part of the
repository.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from hashlib import sha1
from pathlib import Path

from fuzz_seeds import models, pack_parts

HERE = Path(__file__).parent
TARGETS = {"reader": "fuzz_reader.py", "packs": "fuzz_packs.py"}
SLOWEST_S = 5
MEMORY_MB = 1024
LONGEST = 65536


def main() -> int:
    """Run the targets one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", default=[], help=f"of {', '.join(TARGETS)}; all if none is named")
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    parser.add_argument("--corpus", type=Path, default=HERE / ".corpus", help="where inputs are kept")
    chosen = parser.parse_args()
    found = [fuzz(name, chosen.seconds, chosen.corpus) for name in chosen.targets or TARGETS]
    return 1 if any(found) else 0


def fuzz(target: str, seconds: int, corpus: Path) -> bool:
    """Run one target; whether it found something."""
    place = corpus / target
    place.mkdir(parents=True, exist_ok=True)
    seeds = models() if target == "reader" else pack_parts(corpus / "pack")
    for data in seeds:
        (place / sha1(data).hexdigest()).write_bytes(data)
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={SLOWEST_S}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={place}-",
        "-print_final_stats=1",
        "-report_slow_units=2",
    ]
    done = subprocess.run(
        [sys.executable, str(HERE / TARGETS[target]), *options, str(place)], stderr=subprocess.PIPE, text=True
    )
    statistics = dict(re.findall(r"stat::(\w+):\s+(\d+)", done.stderr))
    reached = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", done.stderr)
    coverage = "edges {}, features {}, corpus {}".format(*reached[-1]) if reached else "nothing reached"
    print(
        f"{target}: {statistics.get('number_of_executed_units', '0')} executions in {seconds} s, slowest input "
        f"{statistics.get('slowest_unit_time_sec', '?')} s, peak memory {statistics.get('peak_rss_mb', '?')} MB, "
        f"{coverage}",
        flush=True,
    )
    if done.returncode:
        print("\n".join(done.stderr.splitlines()[-60:]), file=sys.stderr)
    return done.returncode != 0


if __name__ == "__main__":
    sys.exit(main())
