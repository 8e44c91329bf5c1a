"""A job of OpenPAI, by its job protocol, version 2 (https://github.com/microsoft/openpai-protocol).

1. Each instance of the one task role is a shard; it is tried again for itself (`taskRetryCount`).
2. The job goes on while any shard can still succeed, and ends when all have ended (`completion`).
3. A storage that the cluster knows is mounted by the runtime's plugin `teamwise_storage`.
"""

from __future__ import annotations

from typing import Any

from nnmeter.lab.jobs.shard_job import RETRIES, ShardJob
from nnmeter.lab.jobs.yaml_text import yaml_text

_NUMBER = "$((PAI_CURRENT_TASK_ROLE_CURRENT_TASK_INDEX + 1))"  # the system counts from 0


def openpai_job(job: ShardJob) -> str:
    """The job's protocol.

    Raises:
        MeasurementError: the image is missing.
    """
    extras: dict[str, Any] = {}
    if job.volume:
        plugin = {"plugin": "teamwise_storage", "parameters": {"storageConfigNames": [job.volume]}}
        extras["com.microsoft.pai.runtimeplugin"] = [plugin]
    if job.node_type:
        extras["hivedScheduler"] = {"taskRoles": {"shard": {"skuType": job.node_type}}}
    protocol = {
        "protocolVersion": 2,
        "name": job.name,
        "type": "job",
        "prerequisites": [
            {"protocolVersion": 2, "name": "nnmeter", "type": "dockerimage", "uri": job.needed("image", "OpenPAI")}
        ],
        "jobRetryCount": 0,
        "taskRoles": {
            "shard": {
                "instances": job.shards,
                "completion": {"minFailedInstances": job.shards, "minSucceededInstances": -1},
                "taskRetryCount": RETRIES,
                "dockerImage": "nnmeter",
                "resourcePerInstance": {"cpu": job.threads, "memoryMB": 1024 * job.memory_gib, "gpu": 0},
                "commands": [job.command(_NUMBER)],
            }
        },
        **({"defaults": {"virtualCluster": job.queue}} if job.queue else {}),
        **({"extras": extras} if extras else {}),
    }
    return yaml_text(
        protocol,
        f"{job.shards} shards of one campaign. Submit it on the page of the cluster. When all have ended:",
        f"  {job.afterwards()}",
    )
