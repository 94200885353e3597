"""A project from outside is compiled where its code can do nothing but compute, and only for so long."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.bundles import Bundle, BundleFile, hash_of
from runink.errors import Invalid, NotFound
from runink.services import compiling
from runink.services.compile_child import Job, Made
from runink.services.compiling import Confined

pytestmark = pytest.mark.anyio
FLIGHTS = Path(__file__).parents[3] / "examples" / "flights"
CONTRACT = """\
from runink import Contract
{extra}
class Day(Contract, version="1.0.0"):
    day: str
"""


def bundle(**files: str) -> Bundle:
    made = [
        BundleFile(path, text.encode(), is_executable=False) for path, text in sorted(files.items())
    ]
    return Bundle(hash_of(made), tuple(made))


def flights() -> Bundle:
    files = [path for path in FLIGHTS.rglob("*") if path.is_file() and path.suffix in {".py", ".dsl", ".toml"}]  # fmt: skip
    return bundle(**{path.relative_to(FLIGHTS).as_posix(): path.read_text() for path in files})


async def contract(extra: str) -> Made:
    """Return what is made of a contract whose file does something beside."""
    text = CONTRACT.format(extra=extra)
    return await Confined()(bundle(**{"contracts/a.py": text}), Job("contracts/a.py", contract="Day"))  # fmt: skip


async def test_a_project_is_compiled_as_it_is_by_who_has_it_on_disk():
    from runink.projects import compile_file

    found = await Confined()(flights(), Job("features/flights.dsl"))
    here = compile_file(FLIGHTS / "features" / "flights.dsl", parameters={})
    assert found.dag is not None
    assert found.dag.hash == here.dag.hash
    assert found.herd == here.herd


async def test_mistakes_are_told_with_their_places_in_the_project():
    files = {"daily.dsl": "Feature: daily\n\nScenario: x\n  Given nothing known\n"}
    with pytest.raises(Invalid) as refused:
        await Confined()(bundle(**files), Job("daily.dsl"))
    assert refused.value.code == "pipeline_invalid"
    assert all(one.span is None or one.span.file == "daily.dsl" for one in refused.value.findings)
    with pytest.raises(NotFound):
        await Confined()(bundle(**files), Job("../daily.dsl"))


@pytest.mark.parametrize(
    "deed",
    [
        "open('/etc/passwd').read()",
        "open('/proc/self/environ').read()",
        "open('contracts/b.py', 'w')",
        "__import__('os').listdir('/tmp')",
        "__import__('socket').socket()",
        "__import__('socket').socketpair()",
        "__import__('os').fork()",
        "__import__('subprocess').run(['/bin/true'])",
        "__import__('os').kill(__import__('os').getppid(), 0)",
        "__import__('os').symlink('/etc', 'x')",
        "bytearray(2 << 30)",
    ],
)
async def test_what_a_contracts_file_must_not_do_it_cannot(deed: str):
    extra = f"""
try:
    {deed}
except (OSError, MemoryError):
    pass
else:
    raise SystemExit('it could')
"""
    assert (await contract(extra)).contract is not None


async def test_what_a_contracts_file_prints_is_no_answer():
    assert (await contract("print('{}')")).contract is not None


async def test_one_that_ends_the_process_or_answers_itself_is_refused():
    for extra in (
        "__import__('os')._exit(0)",
        "__import__('os')._exit(3)",
        "__import__('os').write(0, b'{\"dag\": 7}') and __import__('os')._exit(0)",
        "__import__('os').abort()",
    ):
        with pytest.raises(Invalid) as refused:
            await contract(extra)
        assert refused.value.code == "compile_failed"
        assert refused.value.hint


async def test_one_that_answers_without_end_is_cut():
    with pytest.raises(Invalid) as refused:
        await contract("import os\nwhile True: os.write(0, b' ' * 65536)")
    assert refused.value.code == "compile_too_large"


async def test_one_that_does_not_come_to_an_end_is_cut(monkeypatch):
    monkeypatch.setattr(compiling, "WITHIN_S", 2.0)
    with pytest.raises(Invalid) as refused:
        await contract("import threading\nthreading.Event().wait()")
    assert refused.value.code == "compile_too_long"


async def test_the_servers_environment_and_descriptors_are_not_there(monkeypatch):
    monkeypatch.setenv("RUNINK_CANARY", "canary")
    extra = """
import os
assert not [name for name in os.environ if name.startswith('RUNINK')], os.environ
for number in range(3, 64):
    try:
        os.fstat(number)
    except OSError:
        continue
    raise AssertionError(number)
"""
    assert (await contract(extra)).contract is not None
