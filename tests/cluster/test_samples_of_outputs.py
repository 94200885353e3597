"""Samples between real processes: a run of docs/audiences.md's example at a node that has joined, read through a member by programs of two roles, and by its operator's commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from runi_project import Project
from runink.client import Client, ClientCredentials
from runink.errors import Forbidden, NotFound
from test_audiences import block
from test_token_of_a_slice import join, standing
from test_trusted_nodes import Farm

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
WHOLE = {"id": 1, "name": "Ann", "town": "Ulm", "salary": 52300}
VIEWS = {
    "finance": {"id": 1, "name": "A", "town": "***", "salary": 52300},
    "support": {"id": 1, "name": "Ann", "town": "Ulm", "salary": None},  # buckets are redacted
}


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@pytest.fixture
def staff(project: Project) -> Project:
    """The page's example; a sink for nobody in particular holds what is marked as it came."""
    for path, kind in (("contracts/staff.py", "python"), ("data/staff.csv", "csv")):
        project.write(path, block(kind))
    project.write("herds/people.toml", block("toml"))
    whole = '    @sink("jsonl://out/whole.jsonl")\n    @deadletter'
    project.write("features/staff.dsl", block("dsl").replace("    @deadletter", whole))
    return project


async def test_each_role_samples_a_run_as_it_may_see_it(tmp_path: Path, staff: Project) -> None:
    with standing(tmp_path / "farm", staff) as made:
        await join(made)
        await anyio.to_thread.run_sync(look, made, staff)


def look(made: Farm, staff: Project) -> None:
    declared = made.asked("herd", "create", "-f", str(staff.root / "herds/people.toml"), "--state", "m1")  # fmt: skip
    assert declared.returncode == 0, declared
    said = staff.run("features/staff.dsl")
    assert said.code == 0, said
    place = f"unix:{made.folder / 'm1' / 'api.sock'}"
    with Client(place) as operator:
        (run,) = [one.run for one in operator.runs.list(herd="people")]
        sinks = {one.uri: one.sink for one in operator.samples.list(herd="people", run=run)}
        whole = sinks["jsonl://out/whole.jsonl"]
        for role, shown in VIEWS.items():
            with Client(place, token=program(operator, role)) as client:
                found = client.samples.get(herd="people", run=run, sink=whole, rows=1)
                assert found.rows == (shown,)
        with (
            Client(place, token=program(operator, "")) as nobody,
            pytest.raises((Forbidden, NotFound)),
        ):
            nobody.samples.get(herd="people", run=run, sink=whole)
    listed = json.loads(made.asked("sample", "list", "last", "--state", "m1", "-o", "json").stdout)
    assert {one["uri"]: one["role"] for one in listed}["jsonl://out/finance.jsonl"] == "finance"
    shown = made.asked("sample", "show", "last", "jsonl://out/whole.jsonl", "-n", "1", "--state", "m1", "-o", "json")  # fmt: skip
    assert json.loads(shown.stdout) == [WHOLE], shown
    (staff.root / "out/whole.jsonl").write_text("{}\n")
    gone = made.asked("sample", "show", "last", whole, "--state", "m1")
    assert gone.returncode == 3
    assert b"sample_gone" in gone.stderr


def program(operator: Any, role: str) -> ClientCredentials:
    """Have a program that reads runs, and sees what a role of the herd shows."""
    name = f"reads-{role or 'nothing'}"
    made = {"herd": "people", "account": name}
    operator.accounts.create(**made)
    for one in ("viewer", role) if role else ():
        subjects = [f"service-account:people/{name}"]
        operator.bindings.create(herd="people", binding=f"{name}-{one}", role=one, subjects=subjects)  # fmt: skip
    return ClientCredentials(f"people/{name}", operator.accounts.secrets.create(**made).client_secret)  # fmt: skip
