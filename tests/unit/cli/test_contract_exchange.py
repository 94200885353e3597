"""`runi contract export`, `import`, `infer` and `validate` on files of a project."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runink.cli.commands import called
from runink.cli.exits import ExitCode
from runink.contracts.yaml_text import read_yaml

TEXT = '''from typing import Annotated, Literal
from runink import Contract, Field


class Flight(Contract, version="1.2.0"):
    """One departure."""

    id: Annotated[int, Field(ge=1)]
    origin: Literal["EWR", "JFK"]
    delay: Annotated[float | None, Field(unit="minutes")] = None
    key = ("id",)
'''
REFERENCE = "contracts/flights.py:Flight"
ROWS = "id,origin,delay\n1,EWR,2.5\n0,JFK,\n2,LGA,NA\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts/flights.py").write_text(TEXT)
    (tmp_path / "rows.csv").write_text(ROWS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> int:
    return called(["contract", *words])


def hash_of(reference: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run("hash", reference) == 0
    return capsys.readouterr().out.strip()


def test_a_contract_goes_to_odcs_and_to_python_and_stays_the_same(
    capsys: pytest.CaptureFixture[str],
):
    assert run("export", REFERENCE, "--format", "odcs", "--into", "flights.odcs.yaml") == 0
    assert run("import", "flights.odcs.yaml", "--into", "contracts/again.py") == 0
    hashes = {
        hash_of(one, capsys)
        for one in (
            REFERENCE,
            "flights.odcs.yaml",
            "flights.odcs.yaml:Flight",
            "contracts/again.py",
        )
    }
    assert len(hashes) == 1


def test_a_contract_goes_to_json_schema_and_comes_back_the_same(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    file = "contracts/flights.schema.json"
    assert run("export", REFERENCE, "--format", "jsonschema", "--into", file) == 0
    assert run("import", file, "--into", "contracts/again.py") == 0
    assert capsys.readouterr().err == ""
    references = (REFERENCE, file, f"{file}:Flight", "contracts/again.py")
    assert len({hash_of(one, capsys) for one in references}) == 1
    assert run("diff", REFERENCE, file) == 0
    assert run("validate", file, "rows.csv", "--null", "", "--null", "NA") == ExitCode.FAILED
    assert "2 of 3 rows" in capsys.readouterr().out
    assert run("bump", file, "--since", REFERENCE, "--part", "minor") == 0
    assert '"version": "1.3.0"' in (project / file).read_text()
    capsys.readouterr()
    assert run("show", file) == 0
    assert capsys.readouterr().out.startswith("Flight 1.3.0 ")


def test_what_a_json_schema_says_that_no_contract_keeps_is_told_beside(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    schema = '{"type": "object",\n"properties": {"a": {"type": "string"}},\n"minProperties": 1}\n'
    (project / "a.schema.json").write_text(schema)
    assert run("import", "a.schema.json") == 0
    said = capsys.readouterr()
    assert said.err == "note: a.schema.json:3: minProperties is not enforced\n"
    assert "class a(Contract" in said.out


def test_a_document_that_is_there_keeps_what_is_not_ours(project: Path):
    run("export", REFERENCE, "--format", "odcs", "--into", "flights.odcs.yaml")
    file = project / "flights.odcs.yaml"
    file.write_text(file.read_text() + "team:\n  name: us\nprice: {priceAmount: 3}\n")
    (project / "contracts/flights.py").write_text(
        TEXT.replace("1.2.0", "1.3.0").replace("ge=1", "ge=2")
    )
    run("export", REFERENCE, "--format", "odcs", "--into", "flights.odcs.yaml")
    document = read_yaml(file.read_text(), file="x").value
    assert (document["team"], document["price"]) == ({"name": "us"}, {"priceAmount": 3})
    assert document["version"] == "1.3.0"
    assert document["schema"][0]["properties"][0]["logicalTypeOptions"] == {"minimum": 2}


def test_an_odcs_file_is_exported_as_it_stands(project: Path, capsys: pytest.CaptureFixture[str]):
    run("export", REFERENCE, "--format", "odcs", "--into", "flights.odcs.yaml")
    text = (project / "flights.odcs.yaml").read_text() + "team:\n  name: us\n"
    (project / "flights.odcs.yaml").write_text(text)
    capsys.readouterr()
    assert run("export", "flights.odcs.yaml", "--format", "odcs") == 0
    assert capsys.readouterr().out == text


def test_json_schema_and_arrow_are_json_and_sql_is_a_statement(capsys: pytest.CaptureFixture[str]):
    assert run("export", REFERENCE, "--format", "jsonschema") == 0
    assert json.loads(capsys.readouterr().out)["required"] == ["id", "origin"]
    assert run("export", REFERENCE, "--format", "arrow") == 0
    assert [field["name"] for field in json.loads(capsys.readouterr().out)["fields"]] == [
        "id",
        "origin",
        "delay",
    ]
    assert run("export", REFERENCE, "--format", "sql", "--dialect", "postgres") == 0
    assert '"delay" double precision' in capsys.readouterr().out


def test_a_file_called_arrow_gets_arrows_own_bytes(project: Path):
    assert run("export", REFERENCE, "--format", "arrow", "--into", "flights.arrow") == 0
    schema = pa.ipc.read_schema(pa.py_buffer((project / "flights.arrow").read_bytes()))
    assert schema.names == ["id", "origin", "delay"]


def test_what_is_not_enforced_is_told_beside(project: Path, capsys: pytest.CaptureFixture[str]):
    run("export", REFERENCE, "--format", "odcs", "--into", "flights.odcs.yaml")
    file = project / "flights.odcs.yaml"
    file.write_text(file.read_text() + "slaProperties:\n- {property: latency, value: 1}\n")
    line = len(file.read_text().splitlines()) - 1
    capsys.readouterr()
    assert run("import", "flights.odcs.yaml") == 0
    said = capsys.readouterr()
    assert (
        said.err
        == f"note: flights.odcs.yaml:{line}: service levels (slaProperties) are not enforced\n"
    )
    assert "class Flight(Contract" in said.out


def test_mistakes_in_a_document_are_findings_with_their_lines(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run("export", REFERENCE, "--format", "odcs", "--into", "flights.odcs.yaml")
    file = project / "flights.odcs.yaml"
    file.write_text(file.read_text().replace("logicalType: integer", "logicalType: int"))
    capsys.readouterr()
    assert run("show", "flights.odcs.yaml", "-o", "json") == ExitCode.INVALID
    said = capsys.readouterr()
    (finding,) = json.loads(said.out)["error"]["findings"]
    line = file.read_text().splitlines().index("    logicalType: int") + 1
    assert (finding["code"], finding["file"], finding["line"]) == (
        "O008",
        "flights.odcs.yaml",
        line,
    )


def test_only_documents_are_imported(capsys: pytest.CaptureFixture[str]):
    assert run("import", "contracts/flights.py:Flight") == ExitCode.INVALID
    assert "is no document of a contract" in capsys.readouterr().err


def test_an_object_with_a_name_of_its_own_gets_one_that_python_takes(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run("export", REFERENCE, "--format", "odcs", "--into", "flights.odcs.yaml")
    file = project / "flights.odcs.yaml"
    file.write_text(file.read_text().replace("- name: Flight", "- name: my-flights"))
    capsys.readouterr()
    assert run("import", "flights.odcs.yaml") == 0
    said = capsys.readouterr()
    assert "class MyFlights(Contract" in said.out
    assert "my-flights is no name of a class; it is called MyFlights here" in said.err


def test_data_is_held_against_a_contract(capsys: pytest.CaptureFixture[str]):
    words = ("validate", REFERENCE, "rows.csv", "--null", "", "--null", "NA")
    assert run(*words) == ExitCode.FAILED
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 of 3 rows (66.67%) break Flight 1.2.0"
    assert lines[3].split()[:3] == ["id", "ge", "1"]
    assert lines[3].endswith("rows.csv row 1")
    assert run(*words, "-o", "json") == ExitCode.FAILED
    document = json.loads(capsys.readouterr().out)
    assert (document["rows"], document["rejected"]) == (3, 2)
    assert {(one["field"], one["rule"], one["rows"]) for one in document["reasons"]} == {
        ("id", "ge", 1),
        ("origin", "choices", 1),
    }
    assert document["reasons"][0]["example"]


def test_unique_fields_are_unique_across_batches(project: Path, capsys: pytest.CaptureFixture[str]):
    (project / "contracts/once.py").write_text(
        "from typing import Annotated\nfrom runink import Contract, Field\n\n\nclass Once(Contract):\n    id: Annotated[int, Field(unique=True)]\n"
    )
    rows = 200_000  # more than one batch holds
    pq.write_table(pa.table({"id": [*range(rows), 0]}), project / "rows.parquet")
    assert run("validate", "contracts/once.py", "rows.parquet", "-o", "json") == ExitCode.FAILED
    assert [
        (one["rule"], one["rows"]) for one in json.loads(capsys.readouterr().out)["reasons"]
    ] == [("unique", 1)]


def test_rows_that_all_keep_it_end_well(project: Path, capsys: pytest.CaptureFixture[str]):
    pq.write_table(pa.table({"id": [1, 2], "origin": ["EWR", "JFK"]}), project / "rows.parquet")
    assert run("validate", REFERENCE, "rows.parquet") == 0
    assert capsys.readouterr().out == "2 rows keep Flight 1.2.0\n"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("validate", REFERENCE, "rows.xls"), ExitCode.INVALID, "does not say what format it has"),
        (("validate", REFERENCE, "none.csv"), ExitCode.NOT_FOUND, "none.csv"),
        (("infer", "none.parquet"), ExitCode.NOT_FOUND, "none.parquet"),
        (("validate", REFERENCE, "other.csv"), ExitCode.FAILED, "no column 'id', 'origin'"),
    ],
)
def test_what_cannot_be_read_is_told(
    words: tuple[str, ...],
    code: ExitCode,
    told: str,
    project: Path,
    capsys: pytest.CaptureFixture[str],
):
    (project / "other.csv").write_text("a\n1\n")
    assert run(*words) in (code, ExitCode.INVALID)
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("form", ["python", "odcs"])
def test_what_is_inferred_loads_and_its_own_data_keep_it(
    form: str, capsys: pytest.CaptureFixture[str]
):
    into = "contracts/rows.py" if form == "python" else "contracts/rows.odcs.yaml"
    assert run("infer", "rows.csv", "--format", form, "--into", into) == 0
    assert run("validate", into, "rows.csv", "--null", "", "--null", "NA") == 0
    assert capsys.readouterr().out == "3 rows keep Rows 1.0.0\n"


def test_an_inferred_contract_says_what_it_was_made_of(capsys: pytest.CaptureFixture[str]):
    assert run("infer", "rows.csv", "--name", "Flight") == 0
    text = capsys.readouterr().out
    assert text.startswith("# What all 3 rows of rows.csv keep.")
    assert '# Some texts stand for nothing; say so at the source: nulls=["", "NA"]' in text
    assert "    delay: float | None" in text
    assert run("infer", "rows.csv", "--sample", "2") == 0
    assert "# What the first 2 rows of rows.csv keep." in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_nested_data_is_inferred(suffix: str, project: Path):
    rows = [
        {"at": {"lat": 1.5}, "tags": ["a"], "day": "2013-01-31"},
        {"at": {"lat": 2.5}, "tags": [], "day": "2013-02-28"},
    ]
    file = project / f"trips{suffix}"
    if suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    assert run("infer", file.name, "--into", "contracts/trips.py") == 0
    text = (project / "contracts/trips.py").read_text()
    assert "class TripsAt:\n    lat: float" in text
    assert "    tags: list[str]\n" in text
    assert "    day: date" in text
    assert run("validate", "contracts/trips.py", file.name) == 0


def test_data_without_rows_or_columns_is_told(project: Path, capsys: pytest.CaptureFixture[str]):
    (project / "head.csv").write_text("a,b\n")
    assert run("infer", "head.csv") == 0
    assert "no row has a value here" in capsys.readouterr().out
    (project / "empty.csv").write_text("")
    assert run("infer", "empty.csv") != 0


def test_no_name_of_a_column_gets_out_of_its_comment(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    odd = "x\nraise SystemExit('out')\n"
    nothing = pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))
    pq.write_table(
        pa.table({odd: nothing, "": [1], "n\nm": [2], "a": [1]}), project / "odd.parquet"
    )
    assert run("infer", "odd.parquet", "--into", "contracts/odd.py") == 0
    assert "a column without a name is left out" in (project / "contracts/odd.py").read_text()
    assert run("validate", "contracts/odd.py", "odd.parquet") == 0
    assert run("infer", "odd.parquet", "--format", "odcs", "--into", "odd.yaml") == 0
    assert run("validate", "odd.yaml", "odd.parquet") == 0


def test_what_is_done_about_drift_is_exported_and_shown(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    text = TEXT.replace('version="1.2.0"', 'version="1.2.0", coercion="strict", on_drift="fail"')
    (project / "contracts/flights.py").write_text(text)
    assert run("export", REFERENCE, "--format", "odcs", "--into", "flights.odcs.yaml") == 0
    assert run("import", "flights.odcs.yaml", "--into", "contracts/again.py") == 0
    hashes = {
        hash_of(one, capsys) for one in (REFERENCE, "flights.odcs.yaml", "contracts/again.py")
    }
    assert len(hashes) == 1
    assert run("show", "contracts/again.py") == 0
    assert (
        capsys.readouterr().out.splitlines()[0].endswith(", key id, coercion strict, on_drift fail")
    )


def test_what_is_wrong_inside_of_lists_is_told_with_its_row(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    (project / "contracts/lists.py").write_text(
        "from typing import Annotated\nfrom runink import Contract, Field\n\n\nclass Item:\n    n: Annotated[int | None, Field(ge=0)]\n\n\n"
        'class L(Contract):\n    l: list[Item | None]\n    b: Annotated[list[int], Field(name="b[0]", max_length=1)]\n'
    )
    rows = [
        {"l": [{"n": 1}, None], "b[0]": []},
        {"l": [None, {"n": -1}, {"n": -2}], "b[0]": [1, 2]},
        {"l": [{"n": -3}], "b[0]": []},
    ]
    (project / "lists.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("validate", "contracts/lists.py", "lists.jsonl", "-o", "json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["rejected"] == 2
    assert [
        (one["field"], one["rule"], one["rows"], one["example"], one["at"])
        for one in document["reasons"]
    ] == [
        ("l[].n", "ge", 2, "l[1].n is -1, not at least 0", "lists.jsonl row 1"),
        ("b[0]", "max_length", 1, "b[0] is 2, not at most 1 item long", "lists.jsonl row 1"),
    ]
    assert run("validate", "contracts/lists.py", "lists.jsonl") == 1
