"""Which version of a contract or a pipeline is taken, given those that are there."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from runink.contracts.compatibility import ContractPolicy, Mode
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.errors import Conflict, Forbidden, Invalid
from runink.governance.registry import (
    ContractVersion,
    Origin,
    contract_publication,
)
from runink.names import HerdName

HERD = HerdName("analytics")
ORIGIN = Origin("contracts/a.py", "ann", 1_700_000_000_000, "0" * 40)
BACKWARD = ContractPolicy(Mode.BACKWARD)
FREE = ContractPolicy()


def version(number, *fields, **said):
    spec = ContractSpec("Ticket", number, fields, **said)
    return ContractVersion(HERD, spec, spec.hash, ORIGIN)


NUMBER = FieldSpec("number", Kind.INT, le=10)
SEAT = FieldSpec("seat", Kind.STR)
OPTIONAL = replace(SEAT, nullable=True, has_default=True)
FIRST = version("1.0.0", NUMBER)


def test_the_first_version_is_taken_under_any_policy():
    found = contract_publication(FIRST, [], ContractPolicy(Mode.FULL_TRANSITIVE))
    assert found.is_new
    assert found.previous == ""


def test_the_same_content_again_is_nothing_new():
    again = replace(FIRST, origin=replace(ORIGIN, by="bob", commit="1" * 40))
    found = contract_publication(again, [FIRST], BACKWARD)
    assert not found.is_new
    assert not found.is_worded_anew


def test_other_words_for_the_same_are_nothing_new_and_told():
    found = contract_publication(version("1.0.0", NUMBER, description="x"), [FIRST], FREE)
    assert not found.is_new
    assert found.is_worded_anew


def test_a_version_is_never_another_content():
    other = version("1.0.0", NUMBER, SEAT)
    with pytest.raises(Conflict) as caught:
        contract_publication(other, [FIRST], FREE)
    assert caught.value.code == "version_taken"
    assert FIRST.hash in caught.value.text
    assert other.hash in caught.value.text


def test_a_policy_refuses_a_breaking_change_and_tells_which():
    with pytest.raises(Forbidden) as caught:
        contract_publication(version("2.0.0", NUMBER, SEAT), [FIRST], BACKWARD)
    assert caught.value.code == "contract_incompatible"
    assert caught.value.text.splitlines() == [
        "analytics/Ticket@2.0.0 is not backward compatible, and its herd asks for that:",
        "  1.0.0: seat was added: str, required",
    ]


def test_without_a_policy_it_is_taken():
    found = contract_publication(version("1.0.1", NUMBER, SEAT), [FIRST], FREE)
    assert found.is_new
    assert found.previous == "1.0.0"


def test_a_major_version_may_be_a_line_of_its_own():
    policy = ContractPolicy(Mode.FULL_TRANSITIVE, breaking_majors=True)
    assert contract_publication(version("2.0.0", NUMBER, SEAT), [FIRST], policy).is_new
    with pytest.raises(Forbidden):
        contract_publication(version("1.9.0", NUMBER, SEAT), [FIRST], policy)


def test_a_version_that_goes_up_by_too_little_is_refused():
    with pytest.raises(Invalid) as caught:
        contract_publication(version("1.0.1", NUMBER, OPTIONAL), [FIRST], BACKWARD)
    assert caught.value.code == "version_not_enough"
    assert "1.1.0 (minor)" in caught.value.text
    assert contract_publication(version("1.1.0", NUMBER, OPTIONAL), [FIRST], BACKWARD).is_new


def test_a_line_below_the_highest_version_goes_on():
    known = [FIRST, version("2.0.0", SEAT)]
    new = version("1.1.0", NUMBER, OPTIONAL)
    apart = ContractPolicy(Mode.BACKWARD, breaking_majors=True)
    assert contract_publication(new, known, apart).previous == "1.0.0"
    with pytest.raises(Forbidden, match=r"2\.0\.0: seat: may hold nothing"):
        contract_publication(new, known, BACKWARD)


def test_a_long_list_of_breaking_changes_is_cut():
    many = [FieldSpec(f"f{number}", Kind.INT) for number in range(30)]
    with pytest.raises(Forbidden) as caught:
        contract_publication(version("2.0.0", NUMBER, *many), [FIRST], BACKWARD)
    assert caught.value.text.endswith("… and 10 more")
