"""Job files of batch systems: valid for each system, and a task of each measures its shard."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.cli.profile import command as profile
from nnmeter.lab.jobs.kubernetes import kubernetes_job
from nnmeter.lab.jobs.openpai import openpai_job
from nnmeter.lab.jobs.shard_job import ShardJob
from nnmeter.lab.jobs.slurm import slurm_script
from nnmeter.lab.jobs.yaml_text import yaml_text

yaml = pytest.importorskip("yaml")

JOB = ShardJob(
    8, "/shared/my shards", 1800, threads=2, seed=7, image="registry.example.org/nnmeter:1", queue="boards",
    node_type="genoa-16", volume="shards",
)  # fmt: skip

# Of https://slurm.schedmd.com/sbatch.html, the options that a batch script of ours may have.
SBATCH_OPTIONS = set(
    "array constraint cpus-per-task exclusive job-name mem nodes ntasks open-mode output partition requeue time".split()
)


def pod_of(text: str) -> dict[str, Any]:
    pod: dict[str, Any] = yaml.safe_load(text)["spec"]["template"]["spec"]
    return pod


def shell_of_kubernetes(text: str) -> str:
    shell, dash, script = pod_of(text)["containers"][0]["command"]
    assert (shell, dash) == ("sh", "-c")
    return str(script)


SYSTEMS: dict[str, tuple[Callable[[ShardJob], str], Callable[[str], str], str, str]] = {
    "slurm": (slurm_script, str, "SLURM_ARRAY_TASK_ID", "3"),
    "kubernetes": (kubernetes_job, shell_of_kubernetes, "JOB_COMPLETION_INDEX", "2"),
    "openpai": (
        openpai_job,
        lambda text: "\n".join(yaml.safe_load(text)["taskRoles"]["shard"]["commands"]),
        "PAI_CURRENT_TASK_ROLE_CURRENT_TASK_INDEX",
        "2",
    ),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_third_task_measures_the_third_shard(system: str, tmp_path: Path) -> None:
    write, script_of, variable, number = SYSTEMS[system]
    program = tmp_path / "nnmeter"
    program.write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    program.chmod(0o755)
    script = script_of(write(JOB))
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", variable: number}
    done = subprocess.run(["sh"], input=script, env=environment, text=True, capture_output=True, check=True)
    verb, *arguments = done.stdout.splitlines()
    assert verb == "profile"
    given = profile.make_context("profile", arguments).params
    assert (str(given["shard"]), str(given["output"])) == ("3/8", "/shared/my shards/3")
    assert (given["budget_s"], given["threads"], given["seed"], given["resume"]) == (1800, 2, 7, True)


def test_options_of_the_slurm_script_are_those_of_sbatch() -> None:
    first, *lines = slurm_script(JOB).splitlines()
    assert first == "#!/bin/sh"
    named = [re.fullmatch(r"#SBATCH --([a-z-]+)(?:=(\S+))?", line) for line in lines if line.startswith("#SBATCH")]
    found = {match[1]: match[2] for match in named if match}
    assert len(found) == len(named)
    assert set(found) <= SBATCH_OPTIONS
    assert (found["array"], found["exclusive"], found["requeue"]) == ("1-8", None, None)
    assert (found["time"], found["partition"], found["constraint"]) == ("0-00:45:00", "boards", "genoa-16")
    assert not any(line.startswith("#SBATCH") for line in lines[lines.index("set -eu") :])


def test_a_pod_of_kubernetes_has_whole_cores_and_its_node_to_itself() -> None:
    manifest = yaml.safe_load(kubernetes_job(JOB))
    spec, pod = manifest["spec"], pod_of(kubernetes_job(JOB))
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 8, 8)
    resources = pod["containers"][0]["resources"]
    assert resources["requests"] == resources["limits"] == {"cpu": "2", "memory": "8Gi"}
    rule = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]
    assert rule["labelSelector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert pod["containers"][0]["volumeMounts"][0]["mountPath"] == "/shared/my shards"


@pytest.mark.parametrize("version", ["1.29", "1.35"])
def test_the_manifest_is_valid_for_kubernetes(version: str) -> None:
    validation = pytest.importorskip("kubernetes_validate")
    for job in (JOB, ShardJob(1, "/shards", image="nnmeter", volume="shards")):
        validation.validate(yaml.safe_load(kubernetes_job(job)), version, strict=True)


def test_the_job_is_valid_for_openpai() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(__file__).parent / "openpai-protocol-2.json").read_text(encoding="utf-8"))
    for job in (JOB, ShardJob(1, "/shards", image="nnmeter")):
        jsonschema.validate(yaml.safe_load(openpai_job(job)), schema)
    protocol = yaml.safe_load(openpai_job(JOB))
    assert protocol["defaults"] == {"virtualCluster": "boards"}
    assert protocol["taskRoles"]["shard"]["completion"] == {"minFailedInstances": 8, "minSucceededInstances": -1}


def test_texts_of_yaml_are_read_back_as_they_were() -> None:
    texts = [
        "plain",
        "yes",
        "null",
        "1e3",
        "a: b",
        "- x",
        "# c",
        '"q"',
        "tab\t",
        "ü",
        "",
        "0x1f",
        "~",
        "a\nb",
        "%",
        "@",
    ]
    value = {"texts": texts, "yes": {"n": 1, "f": 0.5, "b": True, "none": None}, "rows": [{"a": [1], "b": {"c": "d"}}]}
    assert yaml.safe_load(yaml_text(value, "a comment")) == value


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"shards": 0}, "there cannot be 0 shards"),
        ({"folder": "shards"}, "give an absolute path"),
        ({"folder": "/a\nb"}, "give an absolute path"),
        ({"name": "My Job"}, "lower-case letters"),
        ({"name": "a" * 53}, "52 characters"),
        ({"queue": "a b"}, "queue 'a b': is no name"),
        ({"node_type": "x\n#SBATCH --uid=0"}, "node type"),
    ],
)
def test_what_would_make_no_valid_job_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(MeasurementError, match=re.escape(said)):
        ShardJob(**{"shards": 2, "folder": "/shards", **given})


@pytest.mark.parametrize(
    ("system", "given", "said"),
    [("kubernetes", [], "needs the image; give --image"), ("openpai", [], "needs the image"),
     ("kubernetes", ["--image", "nnmeter"], "needs the volume; give --volume")],
)  # fmt: skip
def test_what_a_system_needs_is_asked_for(cli: Callable, tmp_path: Path, system: str, given: list, said: str) -> None:
    outcome = cli("jobs", system, "--shards", "2", "--folder", "/shards", "--out", tmp_path / "job", *given)
    assert outcome.code == 2
    assert said in outcome.error_line
    assert not (tmp_path / "job").exists()


def test_the_verb_writes_the_file_and_says_what_comes_next(cli: Callable, tmp_path: Path) -> None:
    outcome = cli("jobs", "slurm", "--shards", "2", "--folder", "/shards", "--budget", "5m", "--out", tmp_path / "job")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "job").read_text() == slurm_script(ShardJob(2, "/shards", 300))
    assert "2 tasks of 5.0 min" in outcome.out
    assert "nnmeter profile --merge /shards --out campaign" in outcome.out
