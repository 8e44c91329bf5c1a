"""What the job files of all batch systems say: the shards of one campaign, a task each.

Rules:

1. Task `i` of `n` measures shard `i` into `FOLDER/i`, with `--resume`: a task that is started again, on any machine
   that has the folder, goes on with its shard for another budget.
2. A task has its machine, or its cores, to itself, as far as the system can promise that: what else runs there is
   measured as well.
3. Names that a user gives are checked here, so that a file is either valid or not written.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from math import ceil
from pathlib import PurePosixPath

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign.shards import MOST_SHARDS

START_S = 900  # beyond the budget: pulling an image, the last block, the last cross-validation
RETRIES = 3

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?")  # a DNS label with room for the number of the task
_WORD = re.compile(r"[A-Za-z0-9_][\w.,/:@&|*+=-]*", re.ASCII)  # what an option of a batch system takes without quotes


@dataclass(frozen=True, slots=True)
class ShardJob:
    """The shards of a campaign as a job.

    Attributes:
        shards: how many; each is a task.
        folder: absolute path, on a file system that all machines have, in which shard `i` becomes the directory `i`.
        budget_s: seconds that each shard measures.
        runtime: name of the runtime.
        threads: threads of one network, and cores of a task.
        seed: first seed of the campaign.
        name: of the job.
        memory_gib: memory of a task.
        image: container image that has nnmeter and the runtime.
        queue: partition, namespace or virtual cluster.
        node_type: kind of machine, as the system calls it.
        volume: what is mounted for the folder, where the system mounts.
    """

    shards: int
    folder: str
    budget_s: float = 1200.0
    runtime: str = "onnxruntime"
    threads: int = 1
    seed: int = 0
    name: str = "nnmeter-profile"
    memory_gib: int = 8
    image: str | None = None
    queue: str | None = None
    node_type: str | None = None
    volume: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.shards <= MOST_SHARDS:
            raise MeasurementError(f"there cannot be {self.shards} shards; give a number from 1 to {MOST_SHARDS}")
        if not PurePosixPath(self.folder).is_absolute() or not self.folder.isprintable() or "<%" in self.folder:
            raise MeasurementError(f"folder {self.folder!r:.80}: give an absolute path that all machines have")
        if not _NAME.fullmatch(self.name):
            raise MeasurementError(
                f"name {self.name!r:.80}: give lower-case letters, digits and hyphens, 52 characters at most"
            )
        for what in ("runtime", "image", "queue", "node_type", "volume"):
            value = getattr(self, what)
            if value is not None and not _WORD.fullmatch(value):
                raise MeasurementError(f"{what.replace('_', ' ')} {value!r:.80}: is no name; give one without spaces")

    @property
    def limit_s(self) -> int:
        """Seconds after which a task is certainly stuck."""
        return ceil(self.budget_s) + START_S

    def needed(self, what: str, system: str) -> str:
        """A value that a system cannot do without.

        Raises:
            MeasurementError: it was not given.
        """
        value: str | None = getattr(self, what)
        if value is None:
            raise MeasurementError(f"a job of {system} needs the {what}; give --{what}")
        return value

    def command(self, number: str) -> str:
        """The shell command of a task (rule 1).

        Args:
            number: what the shell puts the number of the shard in for, such as `$SLURM_ARRAY_TASK_ID`.
        """
        words = ["nnmeter", "profile", "--runtime", self.runtime, "--threads", str(self.threads)]
        words += ["--budget", f"{ceil(self.budget_s)}s", "--seed", str(self.seed), "--resume"]
        folder = shlex.quote(self.folder.rstrip("/"))
        return f'{shlex.join(words)} --shard "{number}/{self.shards}" --out {folder}/"{number}"'

    def afterwards(self) -> str:
        """The command that puts the shards together when they are measured."""
        return f"nnmeter profile --merge {shlex.quote(self.folder)} --out campaign"
