"""Input whose shape leaves its contract, through whole runs: told, counted, and handled as the edge says."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
from runi_project import Project

CONTRACT = """class Ticket(Contract, version="1.2.0"):
    n: int
    seat: str | None
    price: float = 0.5
"""
DRIFTED = "n,gate,price\n1,A,2.5\nx,B,2.5\n3,C,2.5\n"


def ticket(project: Project, options: str = "", *, file: str = "d.csv") -> None:
    project.contract(CONTRACT)
    format_ = file.rpartition(".")[2]
    project.pipeline(
        f'@source("{format_}://{file}")\n@contract("contracts/c.py:Ticket"{options})\n'
        '@sink("jsonl://out/x.jsonl")\n@deadletter("jsonl://out/dead.jsonl")'
    )


def drifts_of(said) -> list[tuple[str, str, int]]:
    (step,) = said.document["steps"]
    return [(one["column"], one["departure"], one["rows"]) for one in step["drifts"]]


def test_a_column_that_nobody_knows_is_dropped_and_told(project: Project):
    ticket(project)
    project.write("d.csv", "n,seat,price,gate\n1,1A,2.5,A\n2,,1.5,B\n")
    said = project.run()
    assert said.code == 0
    assert drifts_of(said) == [("gate", "unknown", 2)]
    assert list(project.rows("out/x.jsonl")[0]) == ["n", "seat", "price"]
    lineage = json.loads(project.runi("lineage", "last", "-o", "json").out)
    (told,) = [drift for stage in lineage["stages"] for drift in stage.get("drifts", [])]
    assert (told["column"], told["origin"], told["rows"]) == ("gate", "d.csv", 2)
    shown = project.runi("run", "features/p.dsl").out
    assert "drift in one: gate is no column of Ticket 1.2.0 (d.csv)" in shown


def test_drift_may_end_the_run(project: Project):
    ticket(project, ", on_drift=fail")
    project.write("d.csv", "n,seat,price,gate\n1,1A,2.5,A\n")
    said = project.run()
    assert said.code == 1
    assert said.error["code"] == "contract_drift"
    assert "gate is no column of Ticket 1.2.0" in said.error["text"]
    assert drifts_of(said) == [("gate", "unknown", 1)]
    assert not (project.root / "out/x.jsonl").exists()


def test_what_the_contract_does_without_ends_no_run(project: Project):
    ticket(project, ", on_drift=fail")
    project.write("d.csv", "seat,n\n1A,1\n")
    said = project.run()
    assert said.code == 0
    assert drifts_of(said) == [("price", "absent", 1), ("", "order", 1)]


def test_rows_of_another_shape_may_be_set_aside(project: Project):
    ticket(project, ", on_drift=deadletter")
    project.write("d.csv", DRIFTED)
    said = project.run()
    assert said.code == 0
    assert project.read("out/x.jsonl") == ""
    dead = project.rows("out/dead.jsonl")
    assert [row["n"] for row in dead] == ["1", "x", "3"]
    assert {reason["rule"] for row in dead for reason in row["dead_reasons"]} == {"drift"}
    (step,) = said.document["steps"]
    assert (step["rejected"], step["rows_out"]) == (3, 0)


def test_a_dead_letter_of_drift_is_replayed_when_the_contract_knows_its_columns(project: Project):
    ticket(project, ", on_drift=deadletter")
    project.write("d.csv", "n,seat,gate\n1,1A,A\n")
    project.run()
    project.contract(CONTRACT + "    gate: str\n")
    project.pipeline(
        '@source("jsonl://out/dead.jsonl")\n@contract("contracts/c.py:Ticket", on_drift=fail)\n@sink("jsonl://out/y.jsonl")',
        file="features/again.dsl",
    )
    assert project.run("features/again.dsl").code == 0
    assert project.rows("out/y.jsonl") == [{"n": 1, "seat": "1A", "price": 0.5, "gate": "A"}]


def test_a_contract_may_evolve_with_its_input(project: Project):
    ticket(project, ", on_drift=evolve")
    project.write("d.csv", DRIFTED)
    said = project.run()
    assert said.code == 0
    assert project.rows("out/x.jsonl") == [
        {"n": 1, "seat": None, "price": 2.5, "gate": "A"},
        {"n": 3, "seat": None, "price": 2.5, "gate": "C"},
    ]
    assert drifts_of(said) == [("gate", "unknown", 3), ("seat", "missing", 3)]
    assert "drift" not in project.runi("run", "features/p.dsl").out


def test_further_columns_pass_a_pipe_to_another_process(project: Project):
    ticket(project, ", on_drift=evolve, isolate=true")
    project.write("d.csv", DRIFTED)
    assert project.run().code == 0
    assert [row["gate"] for row in project.rows("out/x.jsonl")] == ["A", "C"]


def test_text_for_a_number_is_drift_where_the_format_has_types(project: Project):
    ticket(project, file="d.parquet")
    table = pa.table({"n": ["1", "2"], "seat": ["1A", None], "price": [1, 2]})
    pq.write_table(table, project.root / "d.parquet")
    said = project.run()
    assert said.code == 0  # the values are taken as they always were
    assert drifts_of(said) == [("n", "type", 2)]
    ticket(project, ", on_drift=fail", file="d.parquet")
    assert project.run().error["code"] == "contract_drift"


def test_the_class_says_what_an_edge_does_not(project: Project):
    project.write("d.csv", "n,seat,gate\n1,1A,A\n")
    for options, code in (("", 1), (", on_drift=note", 0)):
        ticket(project, options)
        project.contract(CONTRACT.replace('"1.2.0"', '"1.2.0", on_drift="fail"'))
        assert project.run().code == code


def test_an_edge_says_which_version_it_speaks(project: Project):
    ticket(project, ', version="1.2"')
    project.write("d.csv", "n,seat\n1,1A\n")
    assert project.run().code == 0
    ticket(project, ', version="1.1"')
    said = project.run()
    assert said.code == 8
    (finding,) = said.error["findings"]
    assert finding["code"] == "D043"
    assert finding["text"] == "Ticket is 1.2.0, and this edge speaks 1.1"
    ticket(project, ', version="x"')
    assert project.run().code == 8


def test_setting_aside_needs_somewhere_to_set_aside_to(project: Project):
    project.contract(CONTRACT)
    project.pipeline(
        '@source("csv://d.csv")\n@contract("contracts/c.py:Ticket", on_drift=deadletter)\n@sink("jsonl://out/x.jsonl")'
    )
    said = project.run()
    assert [one["code"] for one in said.error["findings"]] == ["D022"]
