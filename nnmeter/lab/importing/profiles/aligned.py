"""What a profile of named operators becomes: the whole network, and its parts where they are not all kernels.

1. With a time for every kernel, one row: the network, profiled kernel by kernel.
2. Else a row for each part that was timed (`alignment`), and one for the whole where its time is known.
3. Kernels that the runtime adds (reorders) are of no operator, and nobody timed them; they stay in the row of the
   whole.
4. A group that takes time and is of no operator of the model is refused: the tool's own work, or another model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnmeter.graph.ir import Graph
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.importing.profiles.alignment import TimedGroup, align
from nnmeter.lab.importing.profiles.ledger import FileAccount
from nnmeter.lab.importing.profiles.setting import Setting
from nnmeter.lab.importing.profiles.times import MeasuredNetwork, measured
from nnmeter.lab.measuring.measurement import Measurement

NO_OPERATOR = "names no operator of the model that the device's rules make a kernel of"
NO_TIME = "took no time that the tool could tell"
_MOST_IN_A_PART = 64  # kernels: beyond, a part says of none of them how long it takes


def measurements_of_groups(
    setting: Setting,
    graph: Graph,
    network: MeasuredNetwork,
    groups: Sequence[TimedGroup],
    account: FileAccount,
    runs_ms: Sequence[float] = (),
    mean_only: bool = False,
) -> list[Measurement]:
    """The measurements that times of groups of operators amount to (rules 1 to 4); each group is a row of the account.

    Args:
        setting: of the import.
        graph: of the model.
        network: whose times they are.
        groups: times of what the runtime ran, mean of its runs.
        account: of the profile.
        runs_ms: milliseconds of whole runs; empty where they are not known.
        mean_only: whether `runs_ms` is one mean.
    """
    from nnmeter.fusion.detect import detect_kernels

    kernels: list[Kernel] = detect_kernels(graph, setting.loaded_rules)
    signatures = [kernel.signature for kernel in kernels]
    timed = [group for group in groups if group.ms > 0]
    for group in groups:
        if group.ms <= 0:
            account.refuse(NO_TIME, group.name)
    parts = align(kernels, timed)
    found: list[Measurement] = []
    own_ms = np.full(len(kernels), np.nan)
    for part in parts:
        names = [timed[i].name for i in part.groups]
        if not part.kernels:
            for name in names:
                account.refuse(NO_OPERATOR, name)
            continue
        if not part.groups:
            continue
        if len(part.kernels) > _MOST_IN_A_PART:
            for name in names:
                account.refuse(f"ran together with more than {_MOST_IN_A_PART} kernels", name)
            continue
        account.accept(len(names))
        if len(part.kernels) == 1:
            own_ms[part.kernels[0]] = part.ms
        label = f"{part.kernels[0]}" if len(part.kernels) == 1 else f"{part.kernels[0]}-{part.kernels[-1]}"
        found.append(measured(network, [signatures[i] for i in part.kernels], [part.ms], mean_only=True, part=label))
    if kernels and not np.isnan(own_ms).any():
        whole = runs_ms if len(runs_ms) else [float(own_ms.sum())]
        return [measured(network, signatures, whole, own_ms[None], mean_only=mean_only or not len(runs_ms))]
    if len(runs_ms) and kernels:
        found.insert(0, measured(network, signatures, runs_ms, mean_only=mean_only))
    return found
