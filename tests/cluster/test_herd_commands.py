"""A herd from its file to its purge, as somebody does it by hand."""

from __future__ import annotations

import tomllib
from collections.abc import Callable

import pytest
from runi_project import Project, Said, ready
from runink.cli.commands import called

Runi = Callable[..., Said]

FILE = """[herd]
id = "crm"
description = "Customers"
[quotas]
cpu = 2
[quotas.slice]
cpu_max = 1
[secrets]
allow = ["warehouse-*"]
"""
ROWS = '@source("csv://data/a.csv")\n'
SINK = '@sink("jsonl://out/o.jsonl")\n'


@pytest.fixture
def runi(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runi:  # fmt: skip
    """Return what calls a command in this process, which saves half a second each."""
    monkeypatch.chdir(project.root)

    def call(*words: str) -> Said:
        capsys.readouterr()
        code = called(list(words))
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return call


def declared(project: Project, runi: Runi, text: str = FILE) -> None:
    project.write("crm.toml", text)
    said = runi("herd", "create", "-f", "crm.toml")
    assert said.code == 0, said
    assert "herd crm is declared, revision" in said.out
    assert "note: nothing enforces [secrets] yet" in said.err


def keys(runi: Runi) -> list[str]:
    return runi("barn", "get", "/", "--prefix", "--keys-only").out.split()


def test_a_file_to_begin_with_says_what_the_project_does_and_all_that_could_stand_there(
    project: Project, runi: Runi
) -> None:
    assert runi("herd", "init", "crm").code == 0
    text = project.read("herds/crm.toml")
    assert tomllib.loads(text)["herd"] == {"id": "crm"}
    assert runi("herd", "init", "crm").code == 5
    assert runi("herd", "create", "-f", "herds/crm.toml").code == 0


def test_a_declared_herd_holds_whatever_a_project_says(project: Project, runi: Runi) -> None:
    project.write("data/a.csv", "a\n1\n")
    project.pipeline(ROWS + SINK, herd="crm")
    declared(project, runi)
    assert runi("herd", "create", "-f", "crm.toml").code == 5
    said = project.runi("run", "features/p.dsl")
    assert said.code == 0, said
    assert "herd crm is declared in the cluster, and that holds" in said.err
    listed = runi("herd", "list", "-o", "json").document
    assert [(one["herd"], one["state"], one["living"]) for one in listed] == [
        ("crm", "declared", 0)
    ]


def test_what_a_herd_does_not_take_is_not_put_in_force(project: Project, runi: Runi) -> None:
    project.write("data/a.csv", "a\n1\n")
    head = '@schedule("0 6 * * *", tz="UTC")\n@herd("crm")\nFeature: f\n  Scenario: s\n'
    body = "".join(f"    {line}\n" for line in (ROWS + SINK).splitlines())
    file = project.write("features/p.dsl", f"{head}    @requires(cpu=2)\n{body}")
    declared(project, runi)
    refused = runi("deploy", str(file), "-o", "json")
    assert (refused.code, refused.error["code"]) == (1, "slice_bounds")
    assert "asks for cpu 2, 1 at most" in refused.error["text"]
    project.write("features/p.dsl", head + body)
    project.write("crm.toml", f'{FILE}[contracts]\ngolden = "required"\n')
    assert runi("herd", "update", "-f", "crm.toml").code == 0
    for command in (["deploy"], ["pipeline", "push"]):
        wanting = runi(*command, str(file), "-o", "json")
        assert (wanting.code, wanting.error["code"]) == (1, "golden_required"), command
    assert runi("schedule", "list", "-o", "json").out == "[]\n"


def test_a_herd_that_has_versions_only_is_known_and_purged_with_them(
    project: Project, runi: Runi
) -> None:
    project.contract('class Row(Contract, version="1.0.0"):\n    a: int\n')
    publish = ("contract", "publish", "contracts/c.py:Row", "--herd", "shop", "-o", "json")
    assert runi(*publish).code == 0
    assert runi("herd", "list", "-o", "name").out == "shop\n"
    assert runi("herd", "delete", "shop", "--keep", "0s").code == 0
    refused = runi(*publish)
    assert (refused.code, refused.error["code"]) == (5, "herd_deleted")
    assert runi("herd", "purge").out == "herd shop is gone, with 2 keys\n"
    left = [key for key in keys(runi) if not key.startswith("/audit/-/")]
    assert left == ["/rights/taken"]


def test_a_herd_is_changed_at_the_revision_that_was_looked_at(project: Project, runi: Runi) -> None:
    declared(project, runi)
    before = runi("herd", "get", "crm", "-o", "json").document
    project.write("crm.toml", FILE.replace("cpu = 2", 'cpu = 3\nmemory = "1Gi"'))
    revision = str(before["revision"])
    would = runi("herd", "update", "-f", "crm.toml", "-n", "-o", "json").document
    assert would["changes"] == ["quotas.cpu: 2 becomes 3", "quotas.memory: 1Gi"]
    assert would["revision"] == before["revision"]
    done = runi("herd", "update", "-f", "crm.toml", "--if-revision", revision)
    assert done.code == 0, done
    assert "quotas.cpu: 2 becomes 3" in done.out
    late = runi("herd", "update", "-f", "crm.toml", "--if-revision", revision)
    assert late.code == 5
    quota = runi("herd", "quota", "crm", "-o", "json").document["quotas"]
    assert quota["cpu_m"] == {"used": 0, "limit": 3000}
    assert quota["slices"] == {"used": 0, "limit": None}
    project.write("again.toml", runi("herd", "get", "crm", "-o", "toml").out)
    assert "is so already" in runi("herd", "update", "-f", "again.toml").out
    assert runi("herd", "get", "nobody").code == 3


def test_a_herd_with_runs_under_way_stays_and_one_that_is_purged_leaves_nothing(
    project: Project, runi: Runi
) -> None:
    project.write("data/a.csv", "a\n1\n")
    project.step(
        "import time, pathlib\n"
        '@step(each="record")\ndef work(row):\n'
        '    print("begun")\n    while not pathlib.Path("data/go").exists():\n        time.sleep(0.05)\n    return row\n'
    )
    project.write("data/wait/x", "")
    project.pipeline(f'{ROWS}@step("work")\n{SINK}', herd="crm")
    project.pipeline(ROWS + '@sink("jsonl://out/p2.jsonl")\n', herd="crm2", file="features/q.dsl")
    with ready(project.popen("up")):
        declared(project, runi)
        run = project.popen("run", "features/p.dsl", "-o", "json")
        assert project.run("features/q.dsl").code == 0
        others = [key for key in keys(runi) if "/crm2" in key]
        refused = runi("herd", "delete", "crm", "-o", "json")
        while refused.code == 0:  # the run was not there yet
            assert runi("herd", "undelete", "crm").code == 0
            refused = runi("herd", "delete", "crm", "-o", "json")
        assert refused.code == 5
        (living,) = [one for one in runi("runs", "-o", "json").document if one["pipeline"] == "p"]  # fmt: skip
        assert refused.error["code"] == "herd_in_use"
        assert living["run"] in refused.error["text"]
        runi("cancel", living["run"])
        run.communicate(timeout=60)
        assert runi("herd", "delete", "crm").code == 0
        again = project.run("features/p.dsl")
        assert (again.code, again.error["code"]) == (5, "herd_deleted")
        assert runi("herd", "create", "-f", "crm.toml").code == 5
        assert runi("herd", "purge").out == "no herd is to be purged\n"
        assert runi("herd", "purge", "crm").code == 5
        assert runi("herd", "undelete", "crm").code == 0
        assert runi("herd", "delete", "crm", "--keep", "0s").code == 0
        purged = runi("herd", "purge", "-o", "json")
        assert purged.code == 0, purged
        ((name, count),) = [(one["herd"], one["keys"]) for one in purged.document["purged"]]
        assert name == "crm"
        assert count >= 3
        left = keys(runi)
        assert [key for key in left if "crm" in key.split("/")] == []
        assert [key for key in left if "/crm2" in key] == others
        assert runi("herd", "get", "crm").code == 3
        declared(project, runi)
