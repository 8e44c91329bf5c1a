"""Is a campaign that is killed at random moments whole in the end?

    python benchmarks/campaign_kill.py [--kills 10] [--longest 75] [--seed 0] [--runtime onnxruntime] [--keep DIR]

1. `nnmeter profile` runs with its worker and both are killed (SIGKILL) at a moment between 1 and LONGEST seconds, as
   often as asked for, each time going on with the same campaign.
2. Behind each kill: all part files that were there before are there unchanged, and `nnmeter profile --verify` finds no
   problem.
3. In the end the campaign runs for ten seconds undisturbed, and all of it is verified once more.

Exit code 1 if anything was lost, doubled or damaged.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nnmeter.lab.campaign.directory import refused_seeds
from nnmeter.lab.campaign.verification import verify_measurements
from nnmeter.lab.measuring.store import next_seed, part_files


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=10, help="number of kills")
    parser.add_argument("--longest", type=float, default=75.0, help="seconds until a kill, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--runtime", default="onnxruntime", help="runtime to measure")
    parser.add_argument("--keep", type=Path, help="directory for the campaign; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return kill_and_resume(options.keep or Path(folder) / "campaign", options)


def kill_and_resume(campaign: Path, options: argparse.Namespace) -> int:
    """Rules 1 to 3; the exit code."""
    moments = random.Random(options.seed)
    command = [sys.executable, "-m", "nnmeter", "profile", "--runtime", options.runtime, "--out", str(campaign)]
    kept: dict[str, str] = {}
    faults = 0
    for number in range(1, options.kills + 1):
        seconds = moments.uniform(1.0, options.longest)
        process = subprocess.Popen(
            [*command, "--budget", "1h", "--resume"], stdout=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(seconds)
        if process.poll() is not None:
            print(f"kill {number}: the campaign had ended by itself with exit code {process.returncode}")
            return 1
        os.killpg(process.pid, signal.SIGKILL)  # the command and its worker
        process.wait()
        found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in part_files(campaign)}
        lost = [name for name, digest in kept.items() if found.get(name) != digest]
        problems = verify_measurements(campaign).problems if found else ()
        faults += len(lost) + len(problems)
        print(
            f"kill {number:2} after {seconds:5.1f} s: {len(found)} parts up to seed {next_seed(campaign, 0)}, "
            f"{len(found) - len(kept)} new, {len(lost)} lost, {len(problems)} problems",
            flush=True,
        )
        for line in (*lost, *problems):
            print(f"    {line}")
        kept = found
    last = subprocess.run([*command, "--budget", "10s", "--resume"], capture_output=True, text=True, check=False)
    print(last.stdout.strip() or last.stderr.strip())
    verified = subprocess.run(
        [sys.executable, "-m", "nnmeter", "profile", "--verify", str(campaign)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(verified.stdout.strip() or verified.stderr.strip())
    print(f"{len(refused_seeds(campaign))} seeds refused, {options.kills} kills, {faults} faults")
    return 1 if faults or last.returncode or verified.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
