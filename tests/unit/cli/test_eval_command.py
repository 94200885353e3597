"""`runi eval`: expressions tried on records."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from runink.cli.commands import called
from runink.cli.exits import ExitCode

CONTRACT = """from datetime import datetime
from runink import Contract


class Flight(Contract):
    carrier: str
    delay: int | None = None
    at: datetime | None = None
"""


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str, *words: str
) -> tuple[int, str, str]:
    stdin = io.TextIOWrapper(io.BytesIO(given.encode("utf-8", "surrogateescape")))
    monkeypatch.setattr(sys, "stdin", stdin)
    code = called(["eval", *words])
    found = capsys.readouterr()
    return code, found.out, found.err


@pytest.mark.parametrize(
    ("given", "expression", "told"),
    [
        ('{"delay": 20, "carrier": "UA"}', "delay > 15 && carrier in ['UA', 'DL']", "true\n"),
        ('{"delay": 1}\n{"delay": 20}\n{}\n', "delay > 15", "false\ntrue\nnull\n"),
        ('[{"delay": 1}, {"delay": 20}]', "delay * 2", "2\n40\n"),
        ('{\n "user": {"country": "CA"}}', "user.country + '!'", "CA!\n"),
        ('{"x": NaN}', "has(x)", "false\n"),
        ('{"tags": ["a", null]}', "'b' in tags", "null\n"),
        ('{"s": "a@b.c"}', r"s.matches(r'^[^@]+@[^@]+$')", "true\n"),
        ("", "timestamp('2024-01-01') + duration('36h')", "2024-01-02T12:00:00Z\n"),
        ("", "duration('90s')", "90s\n"),
        ("", "1e308 * 10.0", "inf\n"),
    ],
)
def test_a_value_is_printed_for_each_record(monkeypatch, capsys, given, expression, told):
    assert run(monkeypatch, capsys, given, expression) == (0, told, "")


def test_programs_get_one_document(monkeypatch, capsys):
    code, out, _ = run(monkeypatch, capsys, '{"a": 1}{"a": null}', "a + 1", "-o", "json")
    assert code == 0
    assert json.loads(out) == {"expression": "a + 1", "values": [2, None]}


def test_a_mistake_is_shown_below_the_expression(monkeypatch, capsys):
    code, out, told = run(monkeypatch, capsys, "{}", "delay = 1")
    assert (code, out) == (ExitCode.INVALID, "")
    assert "error[D060]: = means nothing here" in told
    assert [line.rstrip() for line in told.splitlines()[3:5]] == [" 1 | delay = 1", "   |       ^"]
    assert "help: equality is ==" in told


@pytest.mark.parametrize(
    ("given", "expression", "told"),
    [
        ('{"a": "x"}\n', "a > 1", "record 1: a > 1: a is text and 1 is a whole number"),
        ('{"a": 1', "a", "line 1, column 8"),
        ("3", "a", "record 1 is no JSON object: 3"),
        ("\udcff", "a", "not UTF-8: byte 1"),
        ('{"a": ' + "[" * 100_000, "a", "too deep"),
        (f'{{"a": {2**70}}}', "a", "more than 64 bits"),
        ('{"a": ["\\ud800"]}', "a[0]", "half of a character"),
        ('{"\\ud800": 1}', "a", "half of a character"),
        ('{"a": 1}', "a in 'x'", "in is followed by a list"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told(monkeypatch, capsys, given, expression, told):
    code, out, error = run(monkeypatch, capsys, given, expression)
    assert code != 0
    assert out == ""
    assert told in error
    assert "Traceback" not in error


def test_a_contract_types_the_records_and_the_expression(tmp_path: Path, monkeypatch, capsys):
    (tmp_path / "flights.py").write_text(CONTRACT)
    monkeypatch.chdir(tmp_path)
    words = ("--contract", "flights.py:Flight")
    given = '{"carrier": "UA", "delay": "12", "at": "2013-01-31T06:00:00Z"}'
    assert run(monkeypatch, capsys, given, "delay + 1", *words)[1] == "13\n"
    assert run(monkeypatch, capsys, given, "at.getHours()", *words)[1] == "6\n"
    assert "did you mean delay?" in run(monkeypatch, capsys, given, "dealy > 1", *words)[2]
    assert "breaks Flight" in run(monkeypatch, capsys, '{"delay": "x"}', "delay > 1", *words)[2]


def test_a_default_stands_in_for_what_a_record_lacks(tmp_path: Path, monkeypatch, capsys):
    text = CONTRACT.replace("carrier: str\n", 'carrier: str = "XX"\n').replace("= None", "= 7", 1)
    (tmp_path / "flights.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    words = ("--contract", "flights.py:Flight")
    given = '{}{"delay": null, "carrier": null}{"delay": 1}'
    out = run(monkeypatch, capsys, given, "carrier + ':' + string(coalesce(delay, -1))", *words)[1]
    assert out == "XX:7\nXX:-1\nXX:1\n"


def test_a_name_that_no_record_has_is_noted(monkeypatch, capsys):
    code, out, err = run(monkeypatch, capsys, '{"delay": 20}{"carrier": "UA"}', "dely > 15")
    assert (code, out) == (0, "null\nnull\n")
    assert err == "note: no record has dely, so it is nothing; did you mean delay?\n"
    _, _, err = run(
        monkeypatch, capsys, '{"delay": 20}{"carrier": "UA"}', "delay > 15 && has(carrier)"
    )
    assert err == ""
