"""Is a campaign over ssh whole in the end, whatever happens to the wire?

    python benchmarks/wire_cuts.py [--cuts 10] [--longest 20] [--seed 0] [--server PYTHON] [--keep DIR]
    python benchmarks/wire_cuts.py --rate 60 [--server PYTHON]

1. The board is a network namespace of this machine (`ip netns`, which needs root) with a link of its own and an ssh
   server: the Python of `--server` with asyncssh, numpy, onnx and onnxruntime, and without nnmeter. It has a home of
   its own, and its time of day is an hour ahead. The near side is the system's ssh.
2. `nnmeter profile --on ssh://...` measures there. At random moments, up to LONGEST seconds apart, the wire is cut, in
   turn by the server (the connection is closed), by the client (ssh is killed), and in silence (the link is down for 25
   seconds).
3. Halfway a second campaign asks for the board, and must be refused by one line that names the first.
4. In the end the campaign is interrupted as by Ctrl-C. Every seed must be measured once or be in `refused.jsonl`, no
   seed twice, all dates must be those of the near side, and `nnmeter profile --verify` must find no problem.
5. `--rate SECONDS`: no cuts, but what the wire costs: networks that are measured in so many seconds here and by wire.

Exit code 1 if anything was lost, doubled, mixed or damaged.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMESPACE, NEAR_LINK, FAR_LINK = "nnmeter-wire", "nnmeter-near", "nnmeter-far"
NEAR_IP, FAR_IP, PORT = "10.213.77.1", "10.213.77.2", 2222
SILENCE_S = 25.0
AHEAD_S = 3600
# Python imports it at its start: the board's time of day.
WRONG_CLOCK = f"""
import time, datetime
time.time = lambda real=time.time: real() + {AHEAD_S}
class datetime_(datetime.datetime):
    @classmethod
    def now(cls, tz=None, real=datetime.datetime.now):
        return real(tz) + datetime.timedelta(seconds={AHEAD_S})
class date_(datetime.date):
    @classmethod
    def today(cls):
        return datetime_.now().date()
datetime.datetime, datetime.date = datetime_, date_
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cuts", type=int, default=10, help="number of cuts")
    parser.add_argument("--longest", type=float, default=20.0, help="seconds between cuts, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--server", default=sys.executable, help="Python with asyncssh and the runtime")
    parser.add_argument("--rate", type=int, help="seconds of each campaign of rule 5")
    parser.add_argument("--keep", type=Path, help="directory for everything; default: a temporary one")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)  # the server's own process
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        place = options.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        with board(place, options.server):
            if options.rate:
                return rates(place, options.rate)
            return cut_and_count(place, options)


def cut_and_count(place: Path, options: argparse.Namespace) -> int:
    """Rules 2 to 4; the exit code."""
    from nnmeter.lab.campaign.directory import refused_entries
    from nnmeter.lab.campaign.verification import verify_measurements
    from nnmeter.lab.measuring.store import read_measurements

    moments = random.Random(options.seed)
    campaign = start(place, "campaign")
    began = time.strftime("%Y-%m-%dT%H:%M:%S")
    faults = []
    while campaign.poll() is None and not (place / "campaign" / "campaign.json").exists():
        time.sleep(0.2)
    for number in range(1, options.cuts + 1):
        time.sleep(moments.uniform(2.0, options.longest))
        if campaign.poll() is not None:
            print(f"cut {number}: the campaign had ended by itself: {said_by(campaign)}")
            return 1
        how = CUTS[number % len(CUTS)]
        how(place)
        print(f"cut {number}: {how.__name__}", flush=True)
        if number == (options.cuts + 1) // 2:
            time.sleep(5.0)
            second = start(place, "second")
            said = said_by(second)
            print(f"second campaign: exit code {second.wait()}: {said}", flush=True)
            if second.returncode != 2 or "is held by" not in said or said.count("\n"):
                faults.append("the second campaign was not refused by one line")
    time.sleep(options.longest)
    campaign.send_signal(signal.SIGINT)
    code, ended = campaign.wait(), time.strftime("%Y-%m-%dT%H:%M:%S")
    if code != 130:
        faults.append(f"the campaign ended with exit code {code}: {said_by(campaign)}")
    rows, fingerprint = read_measurements(place / "campaign")
    refused = refused_entries(place / "campaign")
    seeds = Counter(int(row.network.rpartition("-")[2]) for row in rows)
    doubled = [seed for seed, count in seeds.items() if count > 1]
    known = seeds.keys() | refused.keys()
    lost = sorted(set(range(max(known) + 1)) - known)
    wrong = [row.sitting for row in rows if not began[:16] <= row.sitting[:16] <= ended[:16]]
    problems = list(verify_measurements(place / "campaign").problems)
    print(
        f"{len(rows)} networks, {sum(len(row.kernels) for row in rows)} kernels on {fingerprint['cpu']}; "
        f"{len(refused)} refused, {len(lost)} lost, {len(doubled)} doubled, {len(wrong)} with a wrong time, "
        f"{len(problems)} problems"
    )
    for entry in refused.values():
        print(f"refused: {entry['seed']}: {entry['reason']}")
    for fault in [*faults, *problems]:
        print(fault)
    return int(bool(faults or lost or doubled or wrong or problems))


def rates(place: Path, seconds: int) -> int:
    """Rule 5; the exit code."""
    from nnmeter.lab.measuring.store import read_measurements

    for name in ("here", "by-wire"):
        campaign = start(place, name, f"{seconds}s", name != "here")
        said = said_by(campaign)
        if campaign.wait():
            print(said)
            return 1
        rows, _ = read_measurements(place / name)
        print(
            f"{name}: {len(rows)} networks, {sum(len(row.kernels) for row in rows)} kernels in {seconds} s", flush=True
        )
    return 0


def start(place: Path, name: str, budget: str = "1h", by_wire: bool = True) -> subprocess.Popen[str]:
    """A campaign in a process of its own, as a user starts it."""
    on = ["--on", f"ssh://root@{FAR_IP}:{PORT}"] if by_wire else []
    return subprocess.Popen(
        [sys.executable, "-m", "nnmeter", "profile", *on, "--budget", budget, "--out", str(place / name)],
        env={**os.environ, "PATH": f"{place / 'bin'}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said_by(process: subprocess.Popen[str]) -> str:
    """What a process says until it ends."""
    assert process.stdout
    return process.stdout.read().strip()


def by_the_server(place: Path) -> None:
    """The server closes the newest connection."""
    os.kill(int((place / "server.pid").read_text()), signal.SIGUSR1)


def by_the_client(place: Path) -> None:
    """The newest ssh is killed."""
    with_pid = (place / "ssh.pids").read_text().split()
    try:
        os.kill(int(with_pid[-1]), signal.SIGKILL)
    except ProcessLookupError:
        print("  (it was cut already)")


def in_silence(place: Path) -> None:
    """The link is down for a while."""
    run("ip", "link", "set", NEAR_LINK, "down")
    time.sleep(SILENCE_S)
    run("ip", "link", "set", NEAR_LINK, "up")


CUTS = (by_the_server, by_the_client, in_silence)


@contextmanager
def board(place: Path, python: str) -> Iterator[None]:
    """The namespace, the link and the server of rule 1."""
    for name in ("home", "bin", "site", "far-bin"):
        (place / name).mkdir(exist_ok=True)
    for key in ("host_key", "user_key"):
        if not (place / key).exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / key))
    (place / "site" / "sitecustomize.py").write_text(WRONG_CLOCK)
    known = f"[{FAR_IP}]:{PORT} {(place / 'host_key.pub').read_text()}"
    (place / "known_hosts").write_text(known)
    script(place / "far-bin" / "python3", f'exec "{python}" "$@"')
    ssh = shutil.which("ssh")
    script(
        place / "bin" / "ssh",
        f"echo $$ >> '{place}/ssh.pids'\n"
        f"exec {ssh} -F none -i '{place}/user_key' -o IdentitiesOnly=yes "
        f"-o UserKnownHostsFile='{place}/known_hosts' \"$@\"",
    )
    run("ip", "netns", "add", NAMESPACE)
    try:
        run("ip", "link", "add", NEAR_LINK, "type", "veth", "peer", "name", FAR_LINK, "netns", NAMESPACE)
        run("ip", "addr", "add", f"{NEAR_IP}/24", "dev", NEAR_LINK)
        run("ip", "link", "set", NEAR_LINK, "up")
        inside = ("ip", "netns", "exec", NAMESPACE)
        run(*inside, "ip", "addr", "add", f"{FAR_IP}/24", "dev", FAR_LINK)
        run(*inside, "ip", "link", "set", FAR_LINK, "up")
        run(*inside, "ip", "link", "set", "lo", "up")
        server = subprocess.Popen([*inside, python, __file__, "--serve", str(place)])
        try:
            while not (place / "server.pid").exists():
                if server.poll() is not None:
                    raise RuntimeError("the server did not start; it needs asyncssh")
                time.sleep(0.1)
            yield
        finally:
            server.terminate()
            server.wait()
            (place / "server.pid").unlink(missing_ok=True)
    finally:
        subprocess.run(["ip", "link", "del", NEAR_LINK], check=False)
        run("ip", "netns", "del", NAMESPACE)


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def serve(place: Path) -> None:
    """The ssh server: what is run gets the board's home and its time of day."""
    asyncio: Any = importlib.import_module("asyncio")
    asyncssh: Any = importlib.import_module("asyncssh")
    connections: list[Any] = []

    class Server(asyncssh.SSHServer):
        def connection_made(self, connection: Any) -> None:
            connections.append(connection)

    environment = {
        "HOME": str(place / "home"), "PATH": f"{place / 'far-bin'}:/usr/bin:/bin", "PYTHONPATH": str(place / "site"),
    }  # fmt: skip

    async def handle(process: Any) -> None:
        child = await asyncio.create_subprocess_shell(
            process.command,
            env=environment,
            cwd=str(place / "home"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
        process.exit(await child.wait())

    async def listen() -> None:
        await asyncssh.listen(
            FAR_IP,
            PORT,
            server_factory=Server,
            server_host_keys=[str(place / "host_key")],
            authorized_client_keys=str(place / "user_key.pub"),
            process_factory=handle,
            encoding=None,
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: connections[-1].abort())
        (place / "server.pid").write_text(str(os.getpid()))
        await asyncio.Event().wait()

    asyncio.run(listen())


if __name__ == "__main__":
    sys.exit(main())
