"""Code that was run is made again where it lies together, and does what it did."""

from __future__ import annotations

import mmap
import subprocess
import sys
from typing import Any, Final

import pytest
from runink.sandbox.gathered_code import codes_run, gather_code

SOURCE: Final = """
def outer(number, *, more=1):
    def inner():
        return number + more
    return inner()

def failing():
    raise ValueError("as it does")

def idle():
    pass
"""


def module(path: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(SOURCE, path, "exec"), names)
    return names


def fails(function) -> str:
    """Return the file that the failure is told to be in."""
    with pytest.raises(ValueError, match="as it does") as caught:
        function()
    return caught.value.__traceback__.tb_next.tb_frame.f_code.co_filename


def test_functions_that_were_run_do_the_same_with_code_made_again_and_others_keep_theirs():
    names = module("one.py")
    before = {name: names[name].__code__ for name in ("outer", "failing", "idle")}
    codes = codes_run(lambda: names["outer"](1))
    assert before["outer"] in codes
    assert before["idle"] not in codes
    assert gather_code(codes) >= 1
    assert names["outer"].__code__ is not before["outer"]
    assert names["outer"].__code__ == before["outer"]
    assert names["outer"](2, more=3) == 5
    inner_before, inner = (
        next(one for one in code.co_consts if hasattr(one, "co_code"))
        for code in (before["outer"], names["outer"].__code__)
    )
    assert inner is not inner_before, "what is defined in it is made again, too"
    assert names["idle"].__code__ is before["idle"]


def test_functions_that_are_alike_stay_those_of_their_files():
    files = ["one.py", "two.py"]
    modules = [module(file) for file in files]
    assert modules[0]["failing"].__code__ == modules[1]["failing"].__code__

    def run() -> None:
        assert [fails(names["failing"]) for names in modules] == files

    gather_code(codes_run(run))
    run()


def test_who_profiles_goes_on_when_code_was_looked_for():
    seen = []
    sys.setprofile(lambda *_: seen.append(1))
    try:
        ours = sys.getprofile()
        codes_run(lambda: None)
        assert sys.getprofile() is ours
    finally:
        sys.setprofile(None)


TOGETHER: Final = """
import gc, mmap
from runink.sandbox.gathered_code import codes_run, gather_code

kept, functions = [], []
for number in range(200):
    names = {}
    exec(f"def one(a): return a + {number}", names)
    functions.append(names["one"])
    kept.append([bytes(size) for size in range(40, 500, 4)])

def pages():
    return len({id(one.__code__) // mmap.PAGESIZE for one in functions})

def run():
    assert [one(1) for one in functions] == list(range(1, 201))

before = pages()
gather_code(codes_run(run))
run()
print(before, pages())
"""


def test_code_that_lay_far_apart_lies_together():
    done = subprocess.run(
        [sys.executable, "-c", TOGETHER], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert after < before / 2
    assert after <= 200 * 512 // mmap.PAGESIZE + 1
