"""The house rules that a program can check. An exception stands here, by name, with its reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from house_files import Module, files, modules

FILE_LINES_MAX = 400  # beyond, a file has two subjects
FUNCTION_LINES_MAX = 60  # with its signature and docstring; what is longer is not read at once
TEST_LINES_MAX = 80  # a scenario is told in one go
PUBLIC_METHODS_MAX = 15
NO_NAMES = frozenset(
    {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
)

# What may be longer, and why.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}
MANY_METHODS = {
    "runink/testing/disk.py:FaultyDisk": "the methods of Disk, and the faults that it can have",
    "runink/raft/log.py:RaftLog": "what stands in a log and how far it came are one state, and these are its words in the field",
    "runink/raft/rawnode.py:RawNode": "the interface that etcd's raft made standard, and one call for many proposals",
}
SLEEPERS = {
    "tests/cluster/sandbox_entries.py": "a slice that hangs and will not end, to be killed by the test",
}


def told(violations: Iterable[str]) -> str:
    return "\n" + "\n".join(violations)


def test_a_file_has_one_subject() -> None:
    long = {
        module.file.path: len(module.file.lines)
        for module in modules()
        if len(module.file.lines) > FILE_LINES_MAX
    }
    new = [f"{path}: {lines} lines" for path, lines in long.items() if path not in LONG_FILES]
    assert not new, told(new)
    assert long.keys() >= LONG_FILES.keys(), "an exception that is none any more"


def test_a_function_can_be_read_at_once() -> None:
    new = []
    known = set()
    for module in modules():
        limit = FUNCTION_LINES_MAX if module.file.is_ours else TEST_LINES_MAX
        for function in module.functions():
            assert function.end_lineno is not None
            lines = function.end_lineno - function.lineno + 1
            name = f"{module.file.path}:{function.name}"
            if lines > limit and name in LONG_FUNCTIONS:
                known.add(name)
            elif lines > limit:
                new.append(f"{name}: {lines} lines")
    assert not new, told(new)
    assert known == LONG_FUNCTIONS.keys(), "an exception that is none any more"


def test_a_class_has_one_role() -> None:
    new = []
    for module in modules():
        for owner in module.classes():
            public = [name for name in map(_method_name, owner.body) if name and name[0] != "_"]
            name = f"{module.file.path}:{owner.name}"
            if (
                module.file.is_ours
                and len(public) > PUBLIC_METHODS_MAX
                and name not in MANY_METHODS
            ):
                new.append(f"{name}: {len(public)} public methods")
    assert not new, told(new)


def _method_name(node: ast.stmt) -> str:
    """Return a method's name, none for what is read like an attribute."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return ""
    is_property = any("property" in ast.unparse(one) for one in node.decorator_list)
    return "" if is_property else node.name


def test_a_module_says_what_lives_there() -> None:
    silent = [
        module.file.path
        for module in modules()
        if module.tree.body and ast.get_docstring(module.tree) is None
    ]
    assert not silent, told(silent)


def test_nothing_is_left_for_later() -> None:
    words = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "HA" + "CK"]) + r")\b")
    found = [
        f"{file.path}:{number}: {line.strip()}"
        for file in files()
        for number, line in enumerate(file.lines, start=1)
        if words.search(line)
    ]
    assert not found, told(found)


def test_tests_do_not_sleep() -> None:
    """A sleep is too short on a busy machine and too long on all others; wait for the thing itself, or give time as a value."""
    found = [
        f"{module.file.path}:{node.lineno}"
        for module in modules()
        if module.file.path.startswith("tests/") and module.file.path not in SLEEPERS
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"time.sleep", "sleep", "asyncio.sleep"}
    ]
    assert not found, told(found)


def test_tests_use_no_mocks_and_skip_nothing() -> None:
    words = re.compile(
        r"\bunittest\.mock\b|\bMagicMock\b|\bpytest\.mark\.(skip|skipif|xfail)\b|\bpytest\.(skip|xfail|importorskip)\("
    )
    found = [
        f"{file.path}:{number}: {line.strip()}"
        for file in files()
        if file.path.startswith("tests/") and not file.path.startswith("tests/style/")
        for number, line in enumerate(file.lines, start=1)
        if words.search(line)
    ]
    assert not found, told(found)


def test_names_of_modules_say_what_is_in_them() -> None:
    vague = [
        file.path
        for file in files()
        if file.is_python and NO_NAMES & set(PurePosixPath(file.path).with_suffix("").parts)
    ]
    assert not vague, told(vague)


def test_test_modules_have_names_of_their_own() -> None:
    """The tests have no packages, so two modules of one name would be one."""
    names: dict[str, str] = {}
    twice = []
    for file in files():
        name = PurePosixPath(file.path).name
        if file.path.startswith("tests/") and file.is_python and name != "conftest.py":
            if name in names:
                twice.append(f"{file.path} and {names[name]}")
            names[name] = file.path
    assert not twice, told(twice)


EXCUSE = re.compile(
    r"# (noqa|type: ignore)\b(?P<codes>(: ?|\[)[A-Za-z0-9, \-]+?\]?)?(?P<reason> (-|#) \S.*)?(  #.*)?$"
)


def test_an_exception_to_a_check_has_its_reason_beside_it() -> None:
    bare = []
    for module in modules():
        if module.file.path.startswith("tests/style/"):
            continue
        for number, line in enumerate(module.file.lines, start=1):
            if "# noqa" not in line and "# type: ignore" not in line:
                continue
            match = EXCUSE.search(line)
            if match is None or not match["reason"] or not match["codes"]:
                bare.append(f"{module.file.path}:{number}: {line.strip()}")
    assert not bare, told(bare)


def test_who_catches_everything_says_why_or_raises_it_again() -> None:
    found = [
        f"{module.file.path}:{handler.lineno}"
        for module in modules()
        for handler in ast.walk(module.tree)
        if isinstance(handler, ast.ExceptHandler)
        and _catches_all(handler)
        and not _raises_again(handler)
        and not _has_comment(module, handler)
    ]
    assert not found, told(found)


def _catches_all(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(
        isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"} for kind in kinds
    )


def _raises_again(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) for node in ast.walk(handler))


def _has_comment(module: Module, handler: ast.ExceptHandler) -> bool:
    """A reason stands on the handler's line, or as the first thing in it."""
    lines = module.file.lines
    head, first = lines[handler.lineno - 1], lines[handler.lineno]
    return "  # " in head or first.strip().startswith("#")


def test_nothing_of_the_machine_that_it_was_written_on_is_in_the_project() -> None:
    """Neither its folders nor the hosts that it takes packages from: those are settings of the machine that installs."""
    folders = [
        "/" + name for name in ("work/main", "work/shared", "work/.", "opt/wheels", "opt/pypi")
    ]
    hosts = [
        ".".join(parts)
        for parts in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("deb", "debian", "org"),
            ("anaconda", "org"),
            ("npmjs", "org"),
            ("snapshot", "debian", "org"),
        )
    ]
    found = [
        f"{file.path}: {word}"
        for file in files()
        for word in (*folders, *hosts)
        if word in file.text
    ]
    assert not found, told(found)
