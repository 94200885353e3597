"""A contract found by its reference: what is told when it is not, and what the import leaves behind (nothing)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from runink.contracts.loading import load_contract
from runink.errors import Invalid, NotFound

HEAD = "from runink import Contract, Field\n"


@pytest.fixture
def write(tmp_path):
    def write(text: str, file: str = "contracts/flights.py") -> Path:
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(HEAD + text)
        return tmp_path

    return write


def refused(root, reference="contracts/flights.py:Flight", kind=Invalid):
    with pytest.raises(kind) as caught:
        load_contract(root, reference)
    return caught.value


def test_a_contract_is_found_by_file_and_class(write):
    root = write("class Flight(Contract, version='1.2.0'):\n    month: int\n")
    spec = load_contract(root, "contracts/flights.py:Flight")
    assert (spec.name, spec.version, spec.where) == ("Flight", "1.2.0", "contracts/flights.py")


def test_the_import_leaves_no_trace(write, capsys):
    root = write("import common\nprint('loud')\nclass Flight(Contract):\n    month: common.Month\n")
    write("Month = int\n", "common.py")
    path, modules = list(sys.path), set(sys.modules)
    load_contract(root, "contracts/flights.py:Flight")
    assert sys.path == path
    assert not {"contracts", "contracts.flights", "common"} & (set(sys.modules) - modules)
    assert not list(root.rglob("*.pyc"))
    out, err = capsys.readouterr()
    assert (out, err) == ("", "loud\n")


def test_a_failed_import_leaves_no_trace_either(write):
    root = write("1/0\n")
    path, modules = list(sys.path), set(sys.modules)
    refused(root)
    assert (sys.path, set(sys.modules) - modules) == (path, set())


def test_a_mended_file_is_read_anew(write):
    for bound in (12, 13):  # as long as the other, and within a second of it
        root = write(
            f"import rules\nclass Flight(Contract):\n    month: rules.M\nassert rules.B == {bound}"
        )
        write(
            f"from typing import Annotated\nB = {bound}\nM = Annotated[int, Field(le=B)]\n",
            "rules.py",
        )
        assert load_contract(root, "contracts/flights.py:Flight").fields[0].le == bound


def test_contracts_of_one_project_import_each_other(write):
    root = write("class Base(Contract):\n    id: int\n", "contracts/base.py")
    write("from contracts.base import Base\nclass Flight(Base):\n    month: int\n")
    spec = load_contract(root, "contracts/flights.py:Flight")
    assert [field.name for field in spec.fields] == ["id", "month"]


def test_two_projects_have_their_own_contracts(write, tmp_path):
    one = (
        write(
            "from contracts.base import N\nclass Flight(Contract):\n    a: N\n",
            "one/contracts/flights.py",
        )
        / "one"
    )
    write("N = int\n", "one/contracts/base.py")
    two = (
        write(
            "from contracts.base import N\nclass Flight(Contract):\n    b: N\n",
            "two/contracts/flights.py",
        )
        / "two"
    )
    write("N = str\n", "two/contracts/base.py")
    names = [load_contract(root, "contracts/flights.py:Flight").fields for root in (one, two)]
    assert [(field.name, field.kind.value) for (field,) in names] == [("a", "int"), ("b", "str")]


def test_a_module_of_that_name_that_was_there_stays(write, monkeypatch):
    ours = type(sys)("contracts")
    monkeypatch.setitem(sys.modules, "contracts", ours)
    root = write("class Flight(Contract):\n    month: int\n")
    load_contract(root, "contracts/flights.py:Flight")
    assert sys.modules["contracts"] is ours


@pytest.mark.parametrize(
    "reference",
    ["contracts/flights.py", "Flight", "contracts/flights:Flight", "/abs/flights.py:Flight", "../x.py:Flight", "a.py:not a name", ""],
)  # fmt: skip
def test_what_is_no_reference_is_refused(tmp_path, reference):
    assert refused(tmp_path, reference).code == "contract_reference"


def test_a_missing_file_names_the_one_that_is_there(write):
    error = refused(write("\n"), "contracts/flight.py:Flight", NotFound)
    assert (error.code, error.hint) == ("contract_missing", "did you mean contracts/flights.py?")


def test_a_missing_folder_is_a_missing_file(tmp_path):
    assert refused(tmp_path, kind=NotFound).code == "contract_missing"


def test_a_missing_class_names_the_one_that_is_there(write):
    error = refused(write("class Flights(Contract):\n    a: int\n"), kind=NotFound)
    assert (error.code, error.hint) == ("contract_missing", "did you mean Flights?")
    assert "it has Flights" in error.text


@pytest.mark.parametrize(
    "text", ["class Flight:\n    a: int\n", "Flight = 3\n", "Flight = Contract\n"]
)
def test_what_is_no_contract_is_refused(write, text):
    assert refused(write(text)).code == "contract_not_a_contract"


def test_an_import_that_fails_shows_its_own_lines(write):
    error = refused(write("def broken():\n    raise ValueError('no such month')\nbroken()\n"))
    assert error.code == "contract_import_failed"
    assert 'File "contracts/flights.py", line 4' in error.text
    assert "ValueError: no such month" in error.text
    assert "importlib" not in error.text


@pytest.mark.parametrize("text", ["def (\n", "raise SystemExit(3)\n", "\0\n"])
def test_whatever_comes_out_of_an_import_is_a_refusal(write, text):
    assert refused(write(text)).code == "contract_import_failed"


def test_a_missing_package_is_named(write):
    error = refused(write("import no_such_package\n"))
    assert "no_such_package" in error.hint


def test_a_file_that_hides_a_module_of_python_is_refused(write):
    root = write("class Flight(Contract):\n    a: int\n", "json/flights.py")
    assert refused(root, "json/flights.py:Flight").code == "contract_import_failed"


def test_mistakes_of_a_class_stand_in_the_projects_file(write):
    error = refused(write("class Flight(Contract):\n    a: list\n    b: int = 'x'\n"))
    assert error.code == "contract_invalid"
    spans = [(finding.code, finding.span.file, finding.span.line) for finding in error.findings]
    assert spans == [("C002", "contracts/flights.py", 3), ("C006", "contracts/flights.py", 4)]
