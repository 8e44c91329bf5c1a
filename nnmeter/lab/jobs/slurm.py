"""A job array of Slurm: `sbatch FILE` (https://slurm.schedmd.com/sbatch.html, job_array.html)."""

from __future__ import annotations

from nnmeter.lab.jobs.shard_job import ShardJob


def slurm_script(job: ShardJob) -> str:
    """The batch script: task `i` of the array, from 1, has a node to itself and is requeued if that fails."""
    options = {
        "job-name": job.name,
        "array": f"1-{job.shards}",
        "nodes": "1",
        "ntasks": "1",
        "cpus-per-task": str(job.threads),
        "mem": f"{job.memory_gib}G",
        "exclusive": None,
        "time": _time(job.limit_s),
        "requeue": None,
        "open-mode": "append",
        "output": f"{job.name}-%A_%a.log",
        "partition": job.queue or "",
        "constraint": job.node_type or "",
    }
    lines = [f"#SBATCH --{name}{f'={value}' if value else ''}" for name, value in options.items() if value != ""]
    return "\n".join(
        [
            "#!/bin/sh",
            f"# {job.shards} shards of one campaign. Submit with: sbatch FILE. When all have ended:",
            f"#   {job.afterwards()}",
            *lines,
            "set -eu",
            f"exec {job.command('$SLURM_ARRAY_TASK_ID')}",
            "",
        ]
    )


def _time(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    return f"{days}-{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
