"""Registering functions, and finding them in a bundle."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from runink.dag import Each, Function
from runink.errors import Invalid, NotFound, Refused
from runink.steps.registry import load_function, step


@pytest.fixture
def bundle(tmp_path: Path, own_modules: None) -> Path:
    return tmp_path


def write(bundle: Path, text: str, file: str = "steps/flights.py") -> None:
    path = bundle / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def wanted(name: str, each: Each = Each.BATCH, file: str = "steps/flights.py") -> Function:
    return Function(file, name, each)


def test_a_decorated_function_stays_as_it_is() -> None:
    def double(record):
        return record

    assert step(each="record", name="twice")(double) is double


@pytest.mark.parametrize("arguments", [{}, {"each": "row"}, {"function": load_function}])
def test_a_step_that_does_not_say_each_is_told_the_four_choices(arguments) -> None:
    with pytest.raises(Invalid) as caught:
        step(**arguments)
    assert caught.value.code == "step_each_missing"
    for choice in ("record", "batch", "stream", "input"):
        assert f'each="{choice}"' in caught.value.hint


def test_load_finds_the_function_by_its_step_name(bundle: Path) -> None:
    write(
        bundle,
        'from runink import step\n@step(each="batch", name="other")\ndef mine(batch):\n    return 7\n',
    )
    assert load_function(bundle, wanted("other"))(None) == 7


def test_a_step_may_import_its_neighbours(bundle: Path) -> None:
    write(bundle, "FACTOR = 3\n", "steps/shared.py")
    write(
        bundle,
        "from runink import step\nfrom steps.shared import FACTOR\nfrom .shared import FACTOR as again\n"
        '@step(each="record")\ndef scaled(record):\n    return FACTOR + again\n',
    )
    assert load_function(bundle, wanted("scaled", Each.RECORD))(None) == 6


def test_two_steps_of_one_name_are_refused_with_both_places(bundle: Path) -> None:
    write(
        bundle,
        'from runink import step\n@step(each="batch")\ndef clean(b): ...\n@step(each="batch")\ndef clean(b): ...\n',
    )
    with pytest.raises(Refused) as caught:
        load_function(bundle, wanted("clean"))
    assert caught.value.code == "step_name_taken"
    assert "flights.py:2" in caught.value.text
    assert "flights.py:4" in caught.value.text


def test_an_import_error_shows_the_projects_own_lines(bundle: Path) -> None:
    write(bundle, "def broken():\n    return 1 / 0\n", "steps/shared.py")
    write(bundle, "from steps.shared import broken\nTABLE = broken()\n")
    with pytest.raises(Refused) as caught:
        load_function(bundle, wanted("x"))
    assert caught.value.code == "step_import_failed"
    assert caught.value.text.splitlines()[1:] == [
        '  File "steps/flights.py", line 2, in <module>',
        "    TABLE = broken()",
        '  File "steps/shared.py", line 2, in broken',
        "    return 1 / 0",
        "ZeroDivisionError: division by zero",
    ]


def test_a_line_that_calls_itself_is_shown_a_few_times(bundle: Path) -> None:
    write(bundle, "def down(n):\n    return down(n + 1)\ndown(0)\n")
    with pytest.raises(Refused) as caught:
        load_function(bundle, wanted("x"))
    lines = caught.value.text.splitlines()
    assert lines.count("    return down(n + 1)") == 3
    assert any(line.endswith("times more") for line in lines)


def test_a_neighbour_imported_by_its_bare_name_is_told_its_whole_one(bundle: Path) -> None:
    write(bundle, "FACTOR = 3\n", "steps/sharing.py")
    write(bundle, "import sharing\n")
    with pytest.raises(Refused) as caught:
        load_function(bundle, wanted("x"))
    assert "from steps import sharing" in caught.value.hint


def test_a_syntax_error_shows_its_line(bundle: Path) -> None:
    write(bundle, "def f(:\n")
    with pytest.raises(Refused) as caught:
        load_function(bundle, wanted("f"))
    assert '  File "steps/flights.py", line 1' in caught.value.text
    assert "    def f(:" in caught.value.text


def test_a_missing_package_is_named_in_the_hint(bundle: Path) -> None:
    write(bundle, "import no_such_package_here\n")
    with pytest.raises(Refused) as caught:
        load_function(bundle, wanted("f"))
    assert "'no_such_package_here'" in caught.value.hint


def test_a_file_that_calls_exit_is_refused(bundle: Path) -> None:
    write(bundle, "raise SystemExit(3)\n")
    with pytest.raises(Refused, match="SystemExit: 3"):
        load_function(bundle, wanted("f"))


def test_a_missing_file_and_a_missing_step_are_not_found(bundle: Path) -> None:
    with pytest.raises(NotFound) as caught:
        load_function(bundle, wanted("f"))
    assert caught.value.code == "step_file_missing"
    write(bundle, 'from runink import step\n@step(each="batch")\ndef clean(b): ...\n')
    with pytest.raises(NotFound) as caught:
        load_function(bundle, wanted("claen"))
    assert caught.value.hint == "did you mean clean?"


def test_a_step_that_now_says_another_each_is_refused(bundle: Path) -> None:
    write(bundle, 'from runink import step\n@step(each="batch")\ndef clean(b): ...\n')
    with pytest.raises(Refused) as caught:
        load_function(bundle, wanted("clean", Each.RECORD))
    assert caught.value.code == "step_changed"


def test_a_file_named_like_a_module_of_python_is_refused(bundle: Path) -> None:
    write(bundle, "", "json.py")
    with pytest.raises(Refused, match="hides a module"):
        load_function(bundle, wanted("f", file="json.py"))


def test_the_decorator_imports_no_data_library() -> None:
    code = "import sys; from runink import step; print([m for m in ('pyarrow', 'polars', 'duckdb') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_step_keeps_what_it_says_of_its_columns(bundle: Path) -> None:
    write(
        bundle,
        'from runink import step\n@step(each="batch", maps={"a": "b", "*": "*"})\ndef f(rows): ...\n',
    )
    maps = {"a": ("b",), "*": ("*",)}
    assert load_function(bundle, Function("steps/flights.py", "f", Each.BATCH, maps=maps))
    for other in (None, {"a": ("c",), "*": ("*",)}):
        with pytest.raises(Refused) as caught:
            load_function(bundle, Function("steps/flights.py", "f", Each.BATCH, maps=other))
        assert caught.value.code == "step_changed"


@pytest.mark.parametrize(
    "maps", ["a", ["a"], {1: "a"}, {"a": 1}, {"a": [1]}, {"*": "a"}, {"a": "*"}, {"a": ["*", "b"]}]
)
def test_what_a_step_says_of_its_columns_is_a_dict_of_names(maps) -> None:
    with pytest.raises(Invalid) as caught:
        step(each="batch", maps=maps)(wanted)
    assert caught.value.code == "step_maps"
    assert "maps=" in caught.value.hint


@pytest.mark.parametrize("file", ["steps/flights.py", "steps/deep/er.py", "steps/__init__.py"])
def test_a_module_of_a_step_is_as_python_imports_it(bundle: Path, file: str) -> None:
    write(bundle, "from runink import step\n@step(each='batch')\ndef kept(batch): ...\n", file)
    name = load_function(bundle, wanted("kept", file=file)).__module__
    ours = sys.modules.pop(name)
    spec = importlib.util.spec_from_file_location(name, bundle / file)
    assert spec is not None
    theirs = importlib.util.module_from_spec(spec)
    told = ("__name__", "__file__", "__package__", "__doc__", "__path__")
    of_spec = ("name", "origin", "parent", "has_location", "submodule_search_locations")
    for names, one, other in ((told, ours, theirs), (of_spec, ours.__spec__, spec)):
        for attribute in names:
            assert getattr(one, attribute, None) == getattr(other, attribute, None), attribute
    assert type(ours.__loader__) is type(theirs.__loader__)
    assert "def kept" in inspect.getsource(ours.kept)


def test_a_folder_that_is_named_from_where_we_are_is_found(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(bundle, "from runink import step\n@step(each='batch')\ndef kept(batch): ...\n")
    monkeypatch.chdir(bundle.parent)
    found = load_function(bundle.name, wanted("kept"))
    assert found.__code__.co_filename == str(bundle / "steps/flights.py")


def test_a_file_that_cannot_be_read_is_told_as_that_and_not_blamed_on_its_function(
    bundle: Path,
) -> None:
    (bundle / "steps").mkdir()
    (bundle / "steps/flights.py").symlink_to("flights.py")
    with pytest.raises(Refused) as caught:
        load_function(str(bundle), wanted("double"))
    assert caught.value.code == "step_import_failed"
