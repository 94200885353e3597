"""Who has approved a version of a contract, and which pipelines a herd then takes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from runink.contracts.compatibility import ContractPolicy
from runink.contracts.fields import ContractSpec
from runink.dag import Check, Dag
from runink.errors import Conflict, Forbidden, QuotaExceeded, Refused
from runink.governance.approvals import (
    WORDS_MAX,
    ApprovalRecord,
    Judged,
    Standing,
    Word,
    check_approved,
    standing_of,
    with_word,
)
from runink.governance.registry import ContractVersion, Origin
from runink.herds.record import HerdRecord
from runink.names import HerdName, PipelineName

HERD = HerdName("sales")
SPEC = ContractSpec("Flight", "1.0.0", ())
VERSION = ContractVersion(HERD, SPEC, SPEC.hash, Origin("f.py", "user:corp:ann", 1))
TWO = HerdRecord(HERD, contracts=ContractPolicy(approvals=2))
DAG = Dag(PipelineName("p"), HERD, "P", "p.dsl", (), (Check("a", "a", SPEC), Check("b", "a", SPEC)), (), ())  # fmt: skip


def word(by: str, *, approves: bool = True, reason: str = "", content: str = SPEC.hash) -> Word:
    return Word(by, 5, content, approves, reason)


def said(*words: Word) -> ApprovalRecord | None:
    record = None
    for one in words:
        record = with_word(VERSION, record, one)
    return record


def test_a_version_is_pending_until_as_many_have_approved_it_as_the_herd_wants() -> None:
    assert standing_of(VERSION, None, 2) is Standing.PENDING
    assert standing_of(VERSION, said(word("bob")), 2) is Standing.PENDING
    assert standing_of(VERSION, said(word("bob"), word("bob", reason="sure")), 2) is Standing.PENDING  # fmt: skip
    assert standing_of(VERSION, said(word("bob"), word("eve")), 2) is Standing.APPROVED


def test_a_rejection_holds_against_all_approvals_until_it_is_taken_back_by_whoever_said_it() -> None:  # fmt: skip
    words = (word("bob"), word("eve"), word("joe", approves=False, reason="pii"))
    assert standing_of(VERSION, said(*words), 2) is Standing.REJECTED
    assert standing_of(VERSION, said(*words, word("eve", reason="really")), 2) is Standing.REJECTED
    assert standing_of(VERSION, said(*words, word("joe")), 2) is Standing.APPROVED


def test_nobody_approves_what_they_have_published_and_may_well_reject_it() -> None:
    with pytest.raises(Forbidden) as refused:
        said(word("user:corp:ann"))
    assert refused.value.code == "own_version"
    mine = said(word("user:corp:ann", approves=False, reason="a mistake"))
    assert standing_of(VERSION, mine, 1) is Standing.REJECTED


def test_who_publishes_on_the_clusters_machine_is_its_operator_when_they_approve() -> None:
    here = changed(VERSION, origin=Origin("f.py", "ann", 1))
    with pytest.raises(Forbidden):
        with_word(here, None, word("operator:ann"))


def test_an_approval_that_got_in_by_the_publisher_counts_for_nothing() -> None:
    record = ApprovalRecord(HERD, "Flight", "1.0.0", (word("user:corp:ann"),))
    assert standing_of(VERSION, record, 1) is Standing.PENDING


def test_a_word_counts_for_the_content_that_was_looked_at_alone() -> None:
    with pytest.raises(Conflict) as refused:
        said(word("bob", content="0" * 64))
    assert refused.value.code == "hash_differs"
    old = ApprovalRecord(HERD, "Flight", "1.0.0", (word("bob", content="0" * 64),))
    assert standing_of(VERSION, old, 1) is Standing.PENDING
    assert [one.by for one in with_word(VERSION, old, word("eve")).words] == ["eve"]


def test_the_same_word_again_changes_nothing_and_words_have_a_limit() -> None:
    first = said(word("bob"))
    assert with_word(VERSION, first, changed(word("bob"), at_ms=9)) is first
    many = ApprovalRecord(HERD, "Flight", "1.0.0", tuple(word(f"p{at}") for at in range(WORDS_MAX)))
    with pytest.raises(QuotaExceeded):
        with_word(VERSION, many, word("bob"))
    assert len(with_word(VERSION, many, word("p3", approves=False, reason="no")).words) == WORDS_MAX


@pytest.mark.parametrize(
    ("judged", "told", "hint"),
    [
        (Judged(None, None), "Flight 1.0.0 is not published", "contract publish"),
        (Judged(VERSION, None), "pending: 0 of 2 approvals, published by user:corp:ann", "contract approve Flight@1.0.0 --herd sales"),
        (Judged(VERSION, said(word("bob"))), "pending: 1 of 2", "steward"),
        (Judged(VERSION, said(word("bob", approves=False, reason="no pii"))), "rejected by bob: no pii", "approve"),
        (Judged(changed(VERSION, hash="f" * 64), None), "is another one than what is published", "approve"),
    ],
)  # fmt: skip
def test_a_pipeline_with_a_version_that_is_not_approved_is_refused_and_told_who_may(
    judged: Judged, told: str, hint: str
) -> None:
    with pytest.raises(Refused) as refused:
        check_approved(DAG, TWO, lambda _: judged)
    assert refused.value.code == "contract_not_approved"
    assert "approval = 2" in refused.value.text
    assert refused.value.text.count("Flight 1.0.0") == 1
    assert told in refused.value.text
    assert hint in refused.value.hint


def test_what_is_approved_and_what_no_herd_wants_approved_is_taken() -> None:
    judged = Judged(VERSION, said(word("bob"), word("eve")))
    check_approved(DAG, TWO, lambda _: judged)
    check_approved(DAG, HerdRecord(HERD), lambda _: Judged(None, None))
