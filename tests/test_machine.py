"""What is too large is refused before it is begun, and what is given back is kept."""

import platform
import subprocess
import sys

import pytest

from bigbird import machine
from bigbird.errors import ConfigError


@pytest.fixture
def linux(tmp_path, monkeypatch):
    """A machine with 8 GiB left, in a container without a limit."""
    (tmp_path / "meminfo").write_text("MemTotal: 16777216 kB\nMemFree: 1024 kB\nMemAvailable: 8388608 kB\n")
    (tmp_path / "limit").write_text("max\n")
    monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "_CONTAINER_LIMITS", (tmp_path / "absent", tmp_path / "limit"))
    return tmp_path


def test_what_is_left_is_what_the_machine_says(linux):
    assert machine.available_bytes() == 8 * 2**30
    (linux / "limit").write_text(f"{3 * 2**30}\n")
    assert machine.available_bytes() == 3 * 2**30


def test_other_systems_tell_their_memory_or_nothing(linux, monkeypatch):
    (linux / "meminfo").unlink()
    assert machine.available_bytes() > 2**28
    monkeypatch.setattr(machine.os, "sysconf_names", {})
    assert machine.available_bytes() is None
    machine.check_memory(1e30, "anything", cure="")  # nothing tells, so nothing is refused


def test_a_gpu_has_its_own_memory(monkeypatch):
    monkeypatch.setattr(machine.torch.cuda, "mem_get_info", lambda device: (2**30, 2**31))
    with pytest.raises(
        ConfigError, match=r"it needs 2\.0 GiB of memory or more, 1\.0 GiB are available on cuda\. Less!"
    ):
        machine.check_memory(2**31, "it", device="cuda", cure="Less!")


@pytest.mark.usefixtures("linux")
def test_more_than_is_left_is_refused():
    machine.check_memory(8 * 2**30, "it", cure="")
    with pytest.raises(
        ConfigError, match=r"^it needs 8\.1 GiB of memory or more, 8\.0 GiB are available\. Take less\.$"
    ):
        machine.check_memory(8.1 * 2**30, "it", cure="Take less.")


_FAULTS_OF_A_SECOND_LARGE_BLOCK = """
import resource, sys
import torch
from bigbird.machine import keep_freed_memory

if sys.argv[1] == "yes":
    assert keep_freed_memory()
for size in (20_000_000, 19_900_000):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(size)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_kept_when_asked():
    kept, returned = (
        int(subprocess.check_output([sys.executable, "-c", _FAULTS_OF_A_SECOND_LARGE_BLOCK, answer]))
        for answer in ("yes", "no")
    )
    assert kept < 1000 < returned  # 80 MB are 19,434 pages


def test_other_systems_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    assert not machine.keep_freed_memory()


def test_the_processor_is_the_first_core_s(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("cpu family\t: 26\nflags\t\t: a b\n\ncpu family\t: 6\n")
    monkeypatch.setattr(machine, "_PROCESSOR", tmp_path / "cpuinfo")
    assert machine.processor() == {"cpu family": "26", "flags": "a b"}
    monkeypatch.setattr(machine, "_PROCESSOR", tmp_path / "absent")
    assert machine.processor() == {}
