"""The built wheel, alone with the dependencies that it names, predicts outside of the checkout."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import REPOSITORY, ZOO


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(directory), str(REPOSITORY)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = directory.glob("nnmeter-*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel and what it requires, and nothing else; made without a network.

    The required distributions are linked from the environment of the tests.
    """
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=False, symlinks=True)
    (site_packages,) = directory.glob("lib/python*/site-packages")
    install = [sys.executable, "-m", "pip", "--python", str(directory / "bin" / "python"), "install", "--no-deps"]
    done = subprocess.run([*install, "--no-index", "--quiet", str(wheel)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (info,) = site_packages.glob("nnmeter-*.dist-info")
    for required in required_distributions(Distribution.at(info)):
        for file in required.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (site_packages / top).exists():
                (site_packages / top).symlink_to(Path(str(required.locate_file(top))).resolve())
    return directory


def required_distributions(root: Distribution) -> list[Distribution]:
    """All that `root` requires without extras, directly or not."""
    found: dict[str, Distribution] = {}
    pending = [root]
    while pending:
        for text in pending.pop().requires or ():
            requirement = Requirement(text)
            if requirement.name not in found and (not requirement.marker or requirement.marker.evaluate({"extra": ""})):
                found[requirement.name] = distribution(requirement.name)
                pending.append(found[requirement.name])
    return list(found.values())


def test_the_wheel_holds_packs_rules_and_types_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "nnmeter",
        next(n for n in names if "dist-info" in n).split("/")[0],
    }
    packs = REPOSITORY / "predictors"
    for file in packs.rglob("*"):
        if file.is_file():
            assert f"nnmeter/_packs/{file.relative_to(packs).as_posix()}" in names
    assert "nnmeter/_packs" in {"/".join(name.split("/")[:2]) for name in names}, "no device pack in the wheel"
    assert "nnmeter/py.typed" in names
    assert "nnmeter/fusion/rulesets/compiled/onnxruntime_cpu.json" in names
    assert "nnmeter/_networks/networks.json.xz" in names
    assert "nnmeter/_public_networks/index.json.xz" in names


def test_the_wheel_predicts_outside_of_the_checkout(environment: Path, tmp_path: Path) -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "NNMETER", "XDG"))}
    model = ZOO / "resnet50-224.onnx"
    done = subprocess.run(
        [environment / "bin" / "nnmeter", "predict", model, "--format", "json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**clean, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["latency_ms"] > 1
    where = subprocess.run(
        [environment / "bin" / "python", "-c", "import nnmeter; print(nnmeter.list_devices()[0].path)"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**clean, "HOME": str(tmp_path)},
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(environment)
