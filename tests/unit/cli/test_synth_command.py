"""`runi synth`: what is asked for is written, whole or not at all, and what cannot be made says why."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from runink.cli.synth import synth
from runink.cli.synth_words import faker_words, meaning_of
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.synthesis_texts import no_words
from runink.errors import Forbidden, Invalid, RuninkError

CONTRACT = r"""
from datetime import date
from decimal import Decimal
from typing import Annotated
from runink import Contract, Field

class Person(Contract, version="1.0.0"):
    id: Annotated[int, Field(ge=1)]
    billing_email: str
    first_name: Annotated[str, Field(max_length=20)]
    born: Annotated[date, Field(le="2010-12-31")]
    balance: Annotated[Decimal, Field(digits=8, scale=2)]
    iban: Annotated[str | None, Field(pii="iban")] = None

    key = ("id",)

class Tight(Contract, version="1.0.0"):
    only: Annotated[int, Field(ge=1, le=3)]
    key = ("only",)

class Odd(Contract, version="1.0.0"):
    letter: Annotated[str, Field(pattern=r"[^\s\S]")]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts/p.py").write_text(CONTRACT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def called(*words: str, name: str = "Person") -> Result:
    return CliRunner().invoke(synth, [f"contracts/p.py:{name}", *words])


def made(*words: str, name: str = "Person") -> str:
    result = called(*words, name=name)
    assert result.exit_code == 0, result
    return result.stdout


def error_of(*words: str, name: str = "Person") -> RuninkError:
    error = called(*words, name=name).exception
    assert isinstance(error, RuninkError), error
    return error


def test_rows_look_real_where_a_fields_meaning_is_known(here: Path) -> None:
    rows = list(csv.DictReader(made("--rows", "50").splitlines()))
    assert len(rows) == 50
    assert all("@" in row["billing_email"] for row in rows)
    assert all(row["first_name"].isalpha() for row in rows)
    assert len({row["id"] for row in rows}) == 50
    assert any(not row["iban"] for row in rows)
    assert all(len(row["iban"]) > 14 for row in rows if row["iban"])


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(here: Path) -> None:
    assert made("--seed", "3") == made("--seed", "3")
    assert made("--seed", "3") != made("--seed", "4")
    assert made("--plain", "--rows", "5").isascii()


def test_the_name_of_the_file_says_its_format(here: Path) -> None:
    made("--rows", "7", "-o", "data/p.parquet")
    table = pq.read_table(here / "data/p.parquet")
    assert (table.num_rows, table.schema.names[:2]) == (7, ["id", "billing_email"])
    made("--rows", "7", "-o", "p.jsonl")
    assert len([json.loads(line) for line in (here / "p.jsonl").read_text().splitlines()]) == 7
    assert error_of("-o", "p.xlsx").code == "synth_format"
    made("--rows", "7", "-o", "p.xlsx", "--format", "csv")
    assert (here / "p.xlsx").read_text().startswith("id,")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_no_rows_are_a_file_all_the_same(here: Path, suffix: str) -> None:
    made("--rows", "0", "-o", f"p.{suffix}", "--edge", "--invalid", "0.5")
    assert (here / f"p.{suffix}").exists()
    assert (here / f"p.{suffix}.reasons.jsonl").read_bytes() == b""


def test_a_file_beside_the_rows_says_which_break_what(here: Path) -> None:
    made("--rows", "40", "--invalid", "0.25", "-o", "p.csv")
    rows = list(csv.DictReader((here / "p.csv").read_text().splitlines()))
    reasons = [json.loads(line) for line in (here / "p.csv.reasons.jsonl").read_text().splitlines()]
    assert len(reasons) == 10
    for reason in reasons:
        value = rows[reason["row"]][reason["field"]]
        if (reason["field"], reason["rule"]) == ("id", "ge"):
            assert int(value) < 1
        if reason["rule"] == "missing":
            assert value == ""
    assert len({(reason["field"], reason["rule"]) for reason in reasons}) == 10, "many kinds"


def test_broken_rows_on_standard_output_need_a_place_for_their_reasons(here: Path) -> None:
    assert error_of("--invalid", "0.5").code == "synth_reasons"
    made("--rows", "10", "--invalid", "0.5", "--reasons", "why.jsonl")
    assert len((here / "why.jsonl").read_text().splitlines()) == 5


def test_what_cannot_be_made_says_why_and_leaves_no_file(here: Path) -> None:
    few = error_of("--rows", "4", "-o", "p.csv", name="Tight")
    assert isinstance(few, Invalid)
    assert "more different values than only can hold; 3 were found" in few.text
    odd = error_of("-o", "p.csv", name="Odd")
    assert "no text can be made for letter" in odd.text
    assert sorted(path.name for path in here.iterdir()) == ["contracts"]


def test_a_place_that_may_not_be_written_is_told(here: Path) -> None:
    (here / "taken").write_text("a file")
    error = error_of("-o", "taken/p.csv")
    assert "taken" in error.text
    assert isinstance(error, (RuninkError, Forbidden))


def test_a_pipe_is_written_into_and_not_replaced(here: Path) -> None:
    made("--rows", "1", "--format", "csv", "-o", "/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def field(name: str, kind: Kind = Kind.STR, **more: Any) -> FieldSpec:
    return FieldSpec(name, kind, **more)


@pytest.mark.parametrize(
    ("given", "meaning"),
    [
        (field("email"), "email"),
        (field("billingEmail"), "email"),
        (field("HOME-PHONE-NUMBER"), "phone_number"),
        (field("x", pii="Email"), "email"),
        (field("x", format="uuid"), "uuid"),
        (field("email", format="uuid"), "uuid"),
        (field("name"), "name"),
        (field("product_name"), ""),
        (field("customer_name"), "customer_name"),
        (field("estate"), ""),
        (field("z"), ""),
        (field("_"), ""),
    ],
)
def test_a_meaning_is_found_by_format_personal_data_and_the_last_words_of_a_name(
    given: FieldSpec, meaning: str
) -> None:
    assert meaning_of(given) == meaning


def test_values_that_the_field_does_not_take_are_left_out() -> None:
    short = field("first_name", max_length=4)
    spec = ContractSpec("T", "1.0.0", (short,))
    words = faker_words(spec, 1)(short)
    assert words
    assert all(len(word) <= 4 for word in words)
    coded = field("email", pattern="[0-9]+")
    assert faker_words(ContractSpec("T", "1.0.0", (coded,)), 1)(coded) == []
    assert no_words(short) == ()


def test_a_new_field_changes_no_other() -> None:
    one, other = field("email"), field("city")
    alone = faker_words(ContractSpec("T", "1.0.0", (one,)), 5)(one)
    beside = faker_words(ContractSpec("T", "1.0.0", (other, one)), 5)
    beside(other)
    assert list(beside(one)) == list(alone)


def test_a_text_that_would_be_read_as_nothing_is_not_made(here: Path) -> None:
    (here / "contracts/c.py").write_text(
        "from typing import Literal\nfrom runink import Contract\n"
        "class C(Contract):\n    code: Literal['NA', 'EU']\n"
    )
    runner = CliRunner()
    usual = runner.invoke(synth, ["contracts/c.py:C"]).stdout.split()
    assert set(usual) == {"code", "NA", "EU"}
    words = ["contracts/c.py:C", "--null", "NA", "--edge", "--invalid", "0.2", "--reasons", "why"]
    assert "NA" not in runner.invoke(synth, words).stdout.split()
