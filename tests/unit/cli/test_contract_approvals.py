"""`runi contract approve`, `reject` and `approvals`, asked of a cluster elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from asked_cluster import Shell, shell_at
from runink.barn.keys import contract_key
from runink.cli.contract_approvals import meant_version
from runink.clients.herds import update_herd
from runink.contracts.compatibility import ContractPolicy
from runink.contracts.fields import ContractSpec
from runink.errors import Invalid
from runink.governance.registry import ContractVersion, Origin
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.names import HerdName
from runink.testing.served import NOW_MS, bound, person
from served_cluster import ServedCluster, served_cluster

BOB = person("bob")
SALES = HerdName("sales")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ServedCluster]:
    bindings = [bound("bob", "steward", BOB.subject, herd="sales")]
    with served_cluster(tmp_path, "sales", bindings=bindings, tokens={"token": BOB}) as made:

        async def put() -> None:
            barn = made.cluster.barn
            herd = HerdRecord(SALES, contracts=ContractPolicy(approvals=1))
            await update_herd(barn, herd, By("operator:root", NOW_MS))
            for name, author in (("Flight", "user:corp:ann"), ("Mine", BOB.subject)):
                spec = ContractSpec(name, "1.0.0", ())
                version = ContractVersion(SALES, spec, spec.hash, Origin("f.py", author, NOW_MS))
                await barn.put(contract_key(SALES, name, "1.0.0"), version)

        made.on_loop(put)
        yield made


@pytest.fixture
def shell(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    cluster: ServedCluster,
) -> Shell:
    made = shell_at(tmp_path, monkeypatch, capfd)
    file = tmp_path / "token"
    file.write_text("token")
    file.chmod(0o600)
    made.runi("context", "add", "prod", cluster.address, "--token-file", str(file), "--use")
    return made


def test_a_steward_sees_what_waits_approves_it_and_takes_that_back(shell: Shell) -> None:
    waiting = shell.runi("contract", "approvals", "--only", "pending", "--herd", "sales", "-o", "json")  # fmt: skip
    assert [one["name"] for one in waiting.json] == ["Flight", "Mine"]
    seen = waiting.json[0]["hash"]
    said = shell.runi("contract", "approve", "sales/Flight@1.0.0", "--hash", seen, "-m", "fine")
    assert said.code == 0
    assert "sales/Flight@1.0.0 is approved: 1 of 1 approvals" in said.out
    assert "approved by user:corp:bob" in said.out
    back = shell.runi("contract", "reject", "Flight@1.0.0", "--herd", "sales", "-m", "too wide")
    assert "is rejected: 0 of 1 approvals" in back.out
    listed = shell.runi("contract", "approvals", "--herd", "sales")
    assert "too wide" in listed.out


def test_what_one_has_published_and_what_is_not_there_ends_with_the_code_for_it(
    shell: Shell,
) -> None:
    own = shell.runi("contract", "approve", "sales/Mine@1.0.0")
    assert own.code == 4
    assert "published by you" in own.err
    assert shell.runi("contract", "approve", "sales/Flight@7.0.0").code == 3
    assert shell.runi("contract", "reject", "sales/Flight@1.0.0").code == 2
    two = shell.runi("contract", "approve", "sales/Flight@1.0.0", "--herd", "stock")
    assert two.code == 8
    assert "--herd says stock" in two.err


@pytest.mark.parametrize("reference", ["Flight", "Flight@", "@1.0.0", "a/b/Flight@1.0.0", "f.py:X"])
def test_who_names_no_version_is_told_how(reference: str) -> None:
    with pytest.raises(Invalid, match="names no version"):
        meant_version(reference)
