"""An Indexed Job of Kubernetes: `kubectl apply -f FILE`.

https://kubernetes.io/docs/concepts/workloads/controllers/job/ and .../administer-cluster/cpu-management-policies/

1. A pod asks for whole cores and as much as it may take, which makes its quality of service Guaranteed: with the static
   CPU manager it has these cores to itself.
2. No two pods of the job are on one node.
3. A failed pod is tried again for itself (`backoffLimitPerIndex`, Kubernetes 1.29), and the others go on.
"""

from __future__ import annotations

from typing import Any

from nnmeter.lab.jobs.shard_job import RETRIES, ShardJob
from nnmeter.lab.jobs.yaml_text import yaml_text

_NUMBER = "$((JOB_COMPLETION_INDEX + 1))"  # the system counts from 0


def kubernetes_job(job: ShardJob) -> str:
    """The manifest of the Job.

    Raises:
        MeasurementError: the image or the volume, a PersistentVolumeClaim that many nodes may write, is missing.
    """
    image, volume = job.needed("image", "Kubernetes"), job.needed("volume", "Kubernetes")
    labels = {"app.kubernetes.io/name": "nnmeter", "app.kubernetes.io/instance": job.name}
    share = {"cpu": str(job.threads), "memory": f"{job.memory_gib}Gi"}
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": job.limit_s,
        "affinity": {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
                ]
            }
        },
        "containers": [
            {
                "name": "shard",
                "image": image,
                "command": ["sh", "-c", f"exec {job.command(_NUMBER)}"],
                "resources": {"requests": share, "limits": share},
                "volumeMounts": [{"name": "shards", "mountPath": job.folder}],
            }
        ],
        "volumes": [{"name": "shards", "persistentVolumeClaim": {"claimName": volume}}],
    }
    if job.node_type:
        pod["nodeSelector"] = {"node.kubernetes.io/instance-type": job.node_type}
    manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job.name, "labels": labels, **({"namespace": job.queue} if job.queue else {})},
        "spec": {
            "completionMode": "Indexed",
            "completions": job.shards,
            "parallelism": job.shards,
            "backoffLimitPerIndex": RETRIES,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    return yaml_text(
        manifest,
        f"{job.shards} shards of one campaign. Submit with: kubectl apply -f FILE. When all have ended:",
        f"  {job.afterwards()}",
    )
