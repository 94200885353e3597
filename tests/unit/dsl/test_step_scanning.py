"""Steps found in the text of Python files, which are not imported for it."""

from __future__ import annotations

import pytest
from runink.dag import Each
from runink.dsl.stepfiles import PRELOADABLE, Argument, StepFile, scanned
from runink.sandbox import protocol
from runink.steps import registry


def scan(text: str) -> StepFile:
    return scanned(text, "steps/s.py")


@pytest.mark.parametrize(
    ("imports", "decorator"),
    [
        ("from runink import step", "step"),
        ("from runink import step as s", "s"),
        ("import runink", "runink.step"),
        ("import runink as r", "r.step"),
        ("from runink.steps.registry import step", "step"),
        ("import runink.steps.registry", "runink.steps.registry.step"),
    ],
)
def test_a_step_is_known_by_whatever_name_it_was_imported(imports: str, decorator: str) -> None:
    found = scan(f'{imports}\n\n@{decorator}(each="batch")\ndef f(rows): ...\n')
    assert not found.mistakes
    assert list(found.functions) == ["f"]


@pytest.mark.parametrize(
    "text",
    [
        '@step(each="batch")\ndef f(rows): ...',
        'from other import step\n@step(each="batch")\ndef f(rows): ...',
        'from . import step\n@step(each="batch")\ndef f(rows): ...',
        'from runink import step\ndef g():\n    @step(each="batch")\n    def f(rows): ...',
        'from runink import step\nclass A:\n    @step(each="batch")\n    def f(rows): ...',
        "import functools\n@functools.cache\ndef f(rows): ...",
        "",
    ],
)
def test_what_is_no_step_is_not_taken_for_one(text: str) -> None:
    assert not scan(text).functions
    assert not scan(text).mistakes


@pytest.mark.parametrize("block", ["if True:", "try:", "with x:"])
def test_steps_may_stand_in_blocks_that_run_when_the_file_is_imported(block: str) -> None:
    end = "\nexcept ImportError: ...\n" if block == "try:" else ""
    text = f'from runink import step\n{block}\n    @step(each="input")\n    def f(rows): ...{end}'
    assert list(scan(text).functions) == ["f"]


def test_arguments_in_the_order_that_they_are_given() -> None:
    found = scan(
        'from runink import step\n@step(each="stream", name="n")\n'
        "def f(rows, /, a, b=1, *rest, c, d=2, **more): ...\n"
    )
    assert found.functions["n"].each is Each.STREAM
    assert found.functions["n"].line == 3
    assert found.functions["n"].arguments == (
        Argument("rows", is_needed=True),
        Argument("a", is_needed=True),
        Argument("b", is_needed=False),
        Argument("c", is_needed=True),
        Argument("d", is_needed=False),
    )


def test_heavy_libraries_are_found_wherever_they_are_imported() -> None:
    found = scan(
        "import polars as pl, os\nfrom numpy.linalg import norm\ndef f():\n    import duckdb"
    )
    assert found.modules == ("numpy", "polars", "duckdb")


def test_the_libraries_are_those_that_a_slice_may_be_given_ready() -> None:
    assert PRELOADABLE == protocol.PRELOADABLE


def test_the_file_is_not_imported() -> None:
    assert list(
        scan(
            'from runink import step\nraise SystemExit\n@step(each="batch")\ndef f(r): ...'
        ).functions
    ) == ["f"]


@pytest.mark.parametrize(
    ("decorator", "code"),
    [
        ("step", "D052"),
        ("step()", "D052"),
        ('step(name="x")', "D052"),
        ('step(each="rows")', "D052"),
        ("step(each=EACH)", "D052"),
        ("step(each=1)", "D052"),
    ],
)
def test_a_function_that_does_not_say_what_it_is_given_is_a_mistake(
    decorator: str, code: str
) -> None:
    found = scan(f"from runink import step\n@{decorator}\ndef f(rows): ...")
    assert [finding.code for finding in found.mistakes] == [code]
    span = found.mistakes[0].span
    assert span is not None
    assert (span.file, span.line, span.column) == ("steps/s.py", 2, 1)
    assert span.length == len(decorator) + 1
    assert found.broken


def test_two_steps_of_one_name_are_a_mistake_as_they_are_for_the_slice() -> None:
    text = (
        'from runink import step\n@step(each="batch")\ndef f(r): ...\n'
        '@step(each="batch", name="f")\ndef g(r): ...'
    )
    assert [finding.code for finding in scan(text).mistakes] == ["D051"]


@pytest.mark.parametrize(
    "text", ["def f(:", "\x00", "(" * 500, "x = '\ud800'", "x" * (1 << 21), "\tx\n y"]
)
def test_a_file_that_is_no_python_says_so(text: str) -> None:
    found = scan(text)
    assert not found.functions
    assert [finding.code for finding in found.mistakes] == ["D053"]


def test_what_the_scan_finds_is_what_the_import_gives() -> None:
    text = (
        "from runink import step\n"
        '@step(each="record")\ndef a(r): ...\n'
        '@step(each="input", name="other")\ndef b(r, side): ...\n'
    )
    namespace: dict[str, object] = {"__name__": "steps.s"}
    exec(compile(text, "steps/s.py", "exec"), namespace)
    table = namespace[registry.TABLE]
    assert isinstance(table, dict)
    assert {name: one.each for name, one in table.items()} == {
        name: one.each for name, one in scan(text).functions.items()
    }


def test_what_a_step_says_of_its_columns_is_read_from_the_text() -> None:
    found = scan('from runink import step\n@step(each="batch", maps={"a": "b", "c": ["d"]})\ndef f(rows): ...\n')  # fmt: skip
    assert found.functions["f"].maps == {"a": ("b",), "c": ("d",)}
    assert scan('from runink import step\n@step(each="batch")\ndef f(rows): ...\n').functions["f"].maps is None  # fmt: skip


@pytest.mark.parametrize("said", ["MAPS", "dict(a=1)", "[1]", '{"a": "*"}', "{**x}"])
def test_what_a_step_says_of_its_columns_without_writing_it_out_is_a_mistake(said: str) -> None:
    found = scan(f'from runink import step\n@step(each="batch", maps={said})\ndef f(rows): ...\n')
    assert [one.code for one in found.mistakes] == ["D052"]
    assert "f" in found.broken
