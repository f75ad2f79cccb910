from __future__ import annotations

import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from fastslow.protocol import provenance


def test_peak_memory_is_in_mib():
    # A process with torch in it takes more than 50 MiB and less than 64 GiB.
    assert 50 < provenance.peak_memory_mib() < 64 * 1024


@pytest.mark.parametrize(("system", "reading"), [("Linux", 300 * 2**10), ("Darwin", 300 * 2**20)])
def test_peak_memory_is_read_in_the_units_of_the_system(monkeypatch, system, reading):
    usage = SimpleNamespace(getrusage=lambda _: SimpleNamespace(ru_maxrss=reading), RUSAGE_SELF=0)
    monkeypatch.setitem(sys.modules, "resource", usage)
    monkeypatch.setattr(platform, "system", lambda: system)
    assert provenance.peak_memory_mib() == 300


def test_peak_memory_is_none_where_the_system_does_not_say(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)  # what an import finds on Windows
    assert provenance.peak_memory_mib() is None


def test_versions_name_what_a_number_depends_on(monkeypatch):
    monkeypatch.setattr(provenance.metadata, "version", lambda name: f"version of {name}")
    assert provenance.versions().keys() == {"python", "fastslow", "torch", "numpy"}
    assert provenance.versions()["torch"] == "version of torch"


@pytest.fixture
def bare_system(monkeypatch, tmp_path):
    """A system that says nothing about its processor; tests add what one says."""
    monkeypatch.setattr(provenance, "_CPU_INFO", tmp_path / "cpuinfo")
    for name in ("processor", "machine", "system"):
        monkeypatch.setattr(platform, name, lambda: "")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    return tmp_path / "cpuinfo"


def test_the_processor_is_named_as_linux_names_it(bare_system):
    bare_system.write_bytes(b"processor\t: 0\nmodel name\t: A Processor \xff: 3 GHz\nmodel name\t: another\n")
    assert provenance.processor_name() == "A Processor \ufffd: 3 GHz"


def test_vector_instructions_stand_beside_the_name(bare_system, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert provenance.processor_name() == ""
    bare_system.write_text("model name\t: A Processor\n")
    assert provenance.processor_name() == "A Processor, AVX2"


def test_the_processor_is_named_as_macos_names_it(bare_system, monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    said = SimpleNamespace(stdout="Apple M1\n")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: said if command[0] == "sysctl" else None)
    assert provenance.processor_name() == "Apple M1"

    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", missing)
    assert provenance.processor_name() == "arm64"


@pytest.mark.parametrize(("name", "said"), [("processor", "Intel64 Family 6"), ("machine", "aarch64")])
def test_the_processor_is_named_by_its_kind_where_it_has_no_name(bare_system, monkeypatch, name, said):
    monkeypatch.setattr(platform, name, lambda: said)
    assert provenance.processor_name() == said
    bare_system.write_text("processor\t: 0\n")  # as on ARM
    assert provenance.processor_name() == said


def test_a_system_that_says_nothing_gives_no_name(bare_system):
    assert provenance.processor_name() == ""
