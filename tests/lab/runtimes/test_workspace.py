import os
import subprocess
import sys
import tempfile

import pytest

from nnmeter.lab.runtimes.workspace import make_workspace, remove_abandoned

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes are not asked for elsewhere")


@pytest.fixture(autouse=True)
def temporary(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def leave_behind(folder):
    """A workspace of a process that was killed."""
    script = (
        "import os, signal, tempfile\n"
        f"tempfile.tempdir = {str(folder)!r}\n"
        "from nnmeter.lab.runtimes.workspace import make_workspace\n"
        "place = make_workspace()\n"
        "open(os.path.join(place.name, 'profile.json'), 'w').write('{}')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    (left,) = folder.iterdir()
    return left


def test_workspace_goes_with_its_context(temporary):
    with make_workspace() as folder:
        assert str(os.getpid()) in folder
    assert list(temporary.iterdir()) == []


def test_folder_of_a_killed_process_is_removed_when_the_next_is_made(temporary):
    left = leave_behind(temporary)
    with make_workspace() as folder:
        assert not left.exists()
        assert os.listdir(temporary) == [os.path.basename(folder)]


def test_what_lives_or_is_not_ours_to_judge_stays(temporary):
    with make_workspace() as folder:
        for name in ("nnmeter-abc", "nnmeter-elsewhere-999999-abc", "other"):
            (temporary / name).mkdir()
        assert remove_abandoned() == []
        assert os.path.isdir(folder)
    assert sorted(os.listdir(temporary)) == ["nnmeter-abc", "nnmeter-elsewhere-999999-abc", "other"]
