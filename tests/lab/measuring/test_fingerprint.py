import json

from nnmeter.lab.measuring import fingerprint


def test_fingerprint_is_json_and_names_runtime_and_settings():
    found = fingerprint.take_fingerprint("onnxruntime", "1.32.0", 2, {"provider": "CPU"})
    assert json.loads(json.dumps(found)) == found
    assert found["runtime"] == "onnxruntime"
    assert found["threads"] == 2
    assert found["settings"] == {"provider": "CPU"}
    assert found["architecture"]


def test_what_the_system_does_not_tell_is_left_out(tmp_path, monkeypatch):
    for name in ("CPUINFO", "CACHES", "MEMINFO", "MAX_FREQUENCY", "HUGE_PAGES", "SYSTEM_VENDOR"):
        monkeypatch.setattr(fingerprint, name, tmp_path / "absent")
    found = fingerprint.take_fingerprint("r", "1", 1, {})
    assert not {"caches", "memory_gib", "max_mhz", "flags", "hypervisor"} & set(found)


def test_relevant_instruction_sets_and_caches_are_read(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(
        "processor: 0\nmodel name: X\nflags: fpu avx2 fma avx512f wp\ncpu MHz : 2800.5\n\n"
    )
    cache = tmp_path / "cache" / "index3"
    cache.mkdir(parents=True)
    for name, text in (("level", "3"), ("type", "Unified"), ("size", "48M")):
        (cache / name).write_text(text + "\n")
    (tmp_path / "meminfo").write_text("MemTotal: 25165824 kB\n")
    monkeypatch.setattr(fingerprint, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(fingerprint, "CACHES", tmp_path / "cache")
    monkeypatch.setattr(fingerprint, "MEMINFO", tmp_path / "meminfo")
    found = fingerprint.take_fingerprint("r", "1", 1, {})
    assert found["flags"] == ["avx2", "fma", "avx512f"]
    assert found["caches"] == {"L3": "48M"}
    assert found["memory_gib"] == 24.0
    assert found["mhz_now"] == 2800.5


def test_identity_ignores_the_day_and_the_kernel_but_not_the_runtime():
    one = fingerprint.take_fingerprint("r", "1", 1, {})
    assert fingerprint.identity(one) == fingerprint.identity({**one, "date": "2000-01-01", "os": "Linux 1"})
    assert fingerprint.identity(one) != fingerprint.identity({**one, "runtime_version": "2"})
    assert fingerprint.identity(one) != fingerprint.identity({**one, "threads": 2})
