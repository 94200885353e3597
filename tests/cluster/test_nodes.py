"""`runi node`: what a node says of its machine, what it offers and what is kept for its system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from runi_project import Project
from runink import __version__
from runink.cli.exits import ExitCode
from runink.config import CPU_SHARES
from runink.machine_reading import read_cpu_m, read_memory_bytes


def test_a_node_tells_of_its_machine(project: Project):
    near = ("--near", "s3://lake", "--near", "s3://bay")
    with project.up("--label", "ssd", "--label", "fast", "--label", "ssd", *near):
        node = project.runi("node", "get", "local", "-o", "json").document
        (listed,) = project.runi("node", "list", "-o", "json").document
        assert listed == {name: node[name] for name in listed}
        text = project.runi("node", "get", "local").out
        line = project.runi("node", "list").out
    machine = node["machine"]
    assert machine["cpu_m"] == read_cpu_m()
    assert machine["memory_bytes"] == read_memory_bytes()
    assert 0 < machine["disk_free_bytes"] <= machine["disk_bytes"]
    assert machine["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert machine["kernel"] == f"Linux {os.uname().release}"
    assert machine["versions"]["runink"] == __version__
    assert (machine.get("pressure") is not None) == Path("/proc/pressure/cpu").exists()
    assert node["labels"] == ["ssd", "fast"]
    assert node["near"] == ["s3://bay", "s3://lake"]
    assert all(isinstance(said, str) for said in node["capabilities"].values())
    assert node["slices"] == 0
    assert abs(node.get("clock_skew_ms", 0)) < 10_000  # the Barn is in the same process
    for word in (
        "ssd, fast",
        "s3://bay, s3://lake",
        machine["boot"],
        "NUMA",
        "free of",
        "the Barn's",
    ):
        assert word in text
    assert line.startswith("local: 0 slices, offers cpu ")


def test_what_is_reserved_is_not_offered(project: Project):
    with project.up("--reserve-cpu", "500m", "--reserve-memory", "1Gi", "--reserve-disk", "5Gi"):
        node = project.runi("node", "get", "local", "-o", "json").document
    assert node["reserved"] == {"cpu_m": 500, "memory_bytes": 1 << 30, "disk_bytes": 5 << 30}
    cpu_m, memory_bytes = read_cpu_m(), read_memory_bytes()
    assert node["capacity"] == {
        "cpu_m": max(cpu_m - 500, cpu_m // 2) * CPU_SHARES,
        "memory_bytes": max(memory_bytes - (1 << 30), memory_bytes // 2),
    }


@pytest.mark.parametrize("words", [("--reserve-cpu", "much"), ("--reserve-memory", "-1")])
def test_an_amount_that_is_none_is_refused(project: Project, words: tuple[str, str]):
    found = project.runi("up", *words)
    assert (found.code, found.out) == (ExitCode.USAGE, "")
    assert "write it like" in found.err


def test_a_node_that_is_not_there_is_told(project: Project):
    with project.up():
        found = project.runi("node", "get", "nobody", "-o", "json")
    assert found.error["code"] == "no_such_node"
