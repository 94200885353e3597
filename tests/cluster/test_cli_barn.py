"""`runi barn` on a cluster that runs, on one that does not, and from a backup to another."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
from runi_project import RUN_S_MAX, Project, Said


@pytest.fixture
def running(project: Project):
    with project.up():
        yield project


def barn(project: Project, *words: str, given: bytes | None = None) -> Said:
    said = project.runi("barn", *words, given=given)
    assert "Traceback" not in said.err, said
    return said


def test_keys_are_set_read_at_older_revisions_and_deleted(running: Project):
    first = barn(running, "put", "/my/a", "1", "-o", "json").document["revision"]
    barn(running, "put", "/my/a", given=b"from standard input\n")
    barn(running, "put", "/my/b", "x")
    assert barn(running, "get", "/my/a", "--value-only").out == "from standard input\n"
    was = barn(running, "get", "/my/a", "--revision", str(first), "-o", "json").document
    assert was["items"][0]["value"] == "1"
    listed = barn(running, "get", "/my/", "--prefix", "--keys-only", "--descending")
    assert listed.out.split() == ["/my/b", "/my/a"]
    assert barn(running, "get", "/my/", "--prefix", "--count-only").out == "2\n"
    gone = barn(running, "delete", "/my/", "--prefix", "--before", "-o", "json").document
    assert (gone["deleted"], gone["before"][1]["value"]) == (2, "x")
    assert barn(running, "get", "/my/a").code == 3
    assert barn(running, "delete", "/my/a").code == 3


def test_the_control_planes_keys_are_kept_from_people(running: Project):
    said = barn(running, "put", "/herds/mine", "{}", "-o", "json")
    assert (said.code, said.error["code"]) == (4, "own_keys")
    assert "--force" in said.error["hint"]
    assert barn(running, "delete", "/", "--prefix").code == 4
    assert barn(running, "get", "/nodes/", "--prefix", "--count-only").out == "1\n"
    assert barn(running, "put", "/audit/test/1", "{}", "--force").code == 0


def test_a_transaction_is_done_whole_or_not_at_all(running: Project):
    document = {
        "if": [{"key": "/my/a", "version": 0}],
        "then": [{"put": "/my/a", "value": "1"}, {"get": "/my/", "prefix": True}],
        "else": [{"get": "/my/a"}],
    }
    given = json.dumps(document).encode()
    done = barn(running, "txn", "-o", "json", given=given)
    assert done.code == 0
    assert done.document["results"][1]["get"]["items"][0]["value"] == "1"
    again = barn(running, "txn", "-o", "json", given=given)
    assert (again.code, again.document["failed"]) == (5, [0])
    assert again.document["results"][0]["get"]["items"][0]["key"] == "/my/a"
    wrong = barn(running, "txn", "-o", "json", given=b"{")
    assert (wrong.code, wrong.error["code"]) == (8, "txn_unreadable")


def test_a_watch_tells_what_was_and_what_comes(running: Project):
    first = barn(running, "put", "/my/a", "1", "-o", "json").document["revision"]
    watch = running.popen(
        "barn", "watch", "/my/", "--prefix", "--from", str(first), "--before", "-n", "3", "-o", "json",
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert watch.stdout is not None
    told = [json.loads(watch.stdout.readline())]
    barn(running, "put", "/my/a", "2")
    barn(running, "delete", "/my/a")
    rest, _ = watch.communicate(timeout=RUN_S_MAX)
    told += [json.loads(line) for line in rest.splitlines()]
    assert watch.returncode == 0
    assert [(one["type"], one["before"] and one["before"]["value"]) for one in told] == [
        ("put", None),
        ("put", "1"),
        ("delete", "2"),
    ]
    late = barn(running, "compact", "-o", "json").document
    assert late["compacted"] == late["revision"]
    refused = barn(running, "watch", "/my/", "--prefix", "--from", str(first), "-o", "json")
    assert (refused.code, refused.error["code"]) == (1, "compacted")
    assert refused.error["revision"] == late["compacted"]
    assert f"--from {late['compacted'] + 1} " in refused.error["hint"]


def test_a_lease_takes_its_keys_with_it(running: Project):
    lease = barn(running, "lease", "grant", "5m").out.strip()
    barn(running, "put", "/my/leased", "x", "--lease", lease)
    shown = barn(running, "lease", "show", lease, "-o", "json").document
    assert (shown["ttl_ms"], shown["keys"]) == (300_000, ["/my/leased"])
    assert barn(running, "lease", "keep", lease, "--once").code == 0
    listed = barn(running, "lease", "list", "-o", "json").document
    assert {one["lease"]: one["renewals"] for one in listed}[int(lease)] == 1
    assert barn(running, "lease", "revoke", lease).code == 0
    assert barn(running, "get", "/my/leased").code == 3
    assert barn(running, "lease", "show", lease).code == 3
    assert barn(running, "lease", "grant", "5 parsecs").code == 2


def test_limits_and_snapshots_are_told_and_set(running: Project):
    assert barn(running, "limits", "--quota", "8Mi", "--history-changes", "50").code == 0
    limits = barn(running, "limits", "-o", "json").document
    assert (limits["quota_bytes"], limits["history_changes_max"]) == (8 << 20, 50)
    for number in range(9):
        barn(running, "put", f"/my/{number}", given=bytes(1000 * 1000))
    full = barn(running, "put", "/my/more", "x", "-o", "json")
    assert full.error["code"] == "quota_exceeded"
    assert barn(running, "limits", "-o", "json").document["is_alarmed"]
    assert "takes no puts" in barn(running, "status").out
    barn(running, "delete", "/my/", "--prefix")
    barn(running, "compact")
    assert not barn(running, "limits", "-o", "json").document["is_alarmed"]
    done = barn(running, "defrag", "-o", "json").document
    status = barn(running, "status", "-o", "json").document
    assert status["snapshot_index"] >= done["snapshot_index"] > 0
    assert (
        barn(running, "hash").out.split()[0]
        == barn(running, "status", "-o", "json").document["digest"]
    )


def test_metrics_are_text_for_prometheus_and_values(running: Project):
    lines = barn(running, "metrics").out.splitlines()
    assert "# TYPE runink_barn_is_leader gauge" in lines
    assert "runink_barn_is_leader 1" in lines
    readings = barn(running, "metrics", "-o", "json").document
    written = next(one for one in readings if one["name"] == "runink_barn_log_write_seconds")
    assert sum(written["counts"]) > 0


def test_a_backup_is_restored_as_another_cluster(project: Project):
    with project.up():
        barn(project, "put", "/my/a", "1")
        barn(project, "put", "/my/a", "2")
        before = barn(project, "status", "-o", "json").document
        taken = barn(project, "backup", "b.rnk", "-o", "json").document
        assert len(taken["sha256"]) == 64
        barn(project, "put", "/my/a", "after")
    new = str(project.root / "new")
    restored = barn(
        project, "restore", "b.rnk", "--state", new, "--bump-revision", "1000", "-o", "json"
    )
    assert restored.code == 0, restored
    assert restored.document["revision"] == taken["revision"] + 1000
    found = barn(project, "get", "/my/a", "--state", new, "-o", "json").document
    assert found["items"][0]["value"] == "2"
    after = barn(project, "status", "--state", new, "-o", "json").document
    assert after["cluster"] not in ("", before["cluster"])
    again = barn(project, "restore", "b.rnk", "--state", new, "-o", "json")
    assert (again.code, again.error["code"]) == (5, "state_exists")
    assert barn(project, "check", new).code == 0


def test_a_damaged_backup_makes_no_state(project: Project):
    with project.up():
        barn(project, "backup", "b.rnk")
    data = bytearray((project.root / "b.rnk").read_bytes())
    data[len(data) // 2] ^= 1
    project.write("b.rnk", bytes(data))
    said = barn(project, "restore", "b.rnk", "--state", str(project.root / "new"), "-o", "json")
    assert (said.code, said.error["code"]) == (1, "backup_corrupt")
    assert not (project.root / "new").exists()
    missing = barn(
        project, "restore", "none.rnk", "--state", str(project.root / "new"), "-o", "json"
    )
    assert missing.code != 0


def test_what_is_asked_of_a_cluster_that_does_not_run_is_answered_from_its_state(project: Project):
    with project.up():
        barn(project, "put", "/my/a", "1")
    assert barn(project, "get", "/my/a", "--value-only").out == "1"
    barn(project, "put", "/my/b", "2")
    assert barn(project, "get", "/my/", "--prefix", "--count-only").out == "2\n"
    assert barn(project, "backup", "b.rnk").code == 0


def test_a_watch_that_is_interrupted_says_nothing_more(running: Project):
    first = barn(running, "put", "/my/a", "1", "-o", "json").document["revision"]
    words = ("barn", "watch", "/my/", "--prefix", "--progress", "--from", str(first))
    watch = running.popen(*words, stderr=subprocess.PIPE)
    assert watch.stdout is not None
    assert watch.stdout.readline(), "it watches"
    barn(running, "put", "/other", "1")
    watch.send_signal(signal.SIGINT)
    _, err = watch.communicate(timeout=RUN_S_MAX)
    assert watch.returncode == 130
    assert b"Traceback" not in err
