import json

import pytest

from nnmeter.devices import processor
from nnmeter.lab.measuring import fingerprint


def test_fingerprint_is_json_and_names_runtime_and_settings():
    found = fingerprint.take_fingerprint("onnxruntime", "1.32.0", 2, {"provider": "CPU"})
    assert json.loads(json.dumps(found)) == found
    assert found["runtime"] == "onnxruntime"
    assert found["threads"] == 2
    assert found["settings"] == {"provider": "CPU"}
    assert found["architecture"]


def test_what_the_system_does_not_tell_is_left_out(tmp_path, monkeypatch):
    for module, name in (
        (processor, "CPUINFO"), (processor, "CACHES"), (fingerprint, "MEMINFO"), (fingerprint, "MAX_FREQUENCY"),
        (fingerprint, "HUGE_PAGES"), (fingerprint, "SYSTEM_VENDOR"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, tmp_path / "absent")
    found = fingerprint.take_fingerprint("r", "1", 1, {})
    assert not {"caches", "cache_sharing", "memory_gib", "max_mhz", "flags", "hypervisor", "cpu_family"} & set(found)


def test_relevant_instruction_sets_and_caches_are_read(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(
        "processor: 0\ncpu family: 25\nmodel: 17\nmodel name: X\nstepping: 1\n"
        "flags: fpu avx2 fma avx512f wp\ncpu MHz : 2800.5\n\n"
    )
    cache = tmp_path / "cache" / "index3"
    cache.mkdir(parents=True)
    for name, text in (("level", "3"), ("type", "Unified"), ("size", "48M"), ("shared_cpu_list", "0-3,8")):
        (cache / name).write_text(text + "\n")
    (tmp_path / "meminfo").write_text("MemTotal: 25165824 kB\n")
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor, "CACHES", tmp_path / "cache")
    monkeypatch.setattr(fingerprint, "MEMINFO", tmp_path / "meminfo")
    found = fingerprint.take_fingerprint("r", "1", 1, {})
    assert found["flags"] == ["avx2", "fma", "avx512f"]
    assert found["caches"] == {"L3": "48M"}
    assert found["cache_sharing"] == {"L3": 5}
    assert (found["cpu_family"], found["cpu_model"], found["stepping"]) == ("25", "17", "1")
    assert found["memory_gib"] == 24.0
    assert found["mhz_now"] == 2800.5


def test_identity_ignores_the_day_and_the_kernel_but_not_the_runtime():
    one = fingerprint.take_fingerprint("r", "1", 1, {})
    assert fingerprint.identity(one) == fingerprint.identity({**one, "date": "2000-01-01", "os": "Linux 1"})
    assert fingerprint.identity(one) != fingerprint.identity({**one, "runtime_version": "2"})
    assert fingerprint.identity(one) != fingerprint.identity({**one, "threads": 2})


@pytest.mark.parametrize("key", ["cpu_family", "cpu_model", "stepping"])
def test_another_core_of_the_same_name_is_another_device(key):
    one = {"cpu": "AMD EPYC", "cpu_family": "25", "cpu_model": "17", "stepping": "1"}
    assert fingerprint.identity(one) != fingerprint.identity({**one, key: "26"})


def test_files_that_do_not_say_the_family_are_equal_to_themselves():
    old = {"cpu": "Adreno 640", "device": "adreno640", "runtime": "tflite-gpu"}
    assert fingerprint.identity(old) == fingerprint.identity({**old, "date": "2021"})
    assert fingerprint.identity(old) != fingerprint.identity({**old, "device": "adreno630"})
