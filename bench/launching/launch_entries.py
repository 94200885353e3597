"""What the slices of `bench/launch.py` do: nothing, say when they began or when they have loaded what fork servers have, or become the program that says so."""

import importlib
import os
import time

NOTHING = b"nothing"
STAMP = b"stamp"
LOADING = b"loading"
LOADED = ("pyarrow", "msgspec")


def main(job: bytes, control: int, descriptors: list[int]) -> None:  # noqa: ARG001 - an entry is called so
    now_s = time.perf_counter()
    if job == STAMP:
        os.write(1, b"%.9f\n" % now_s)
    elif job == LOADING:
        for module in LOADED:
            importlib.import_module(module)
        os.write(1, b"%.9f\n" % time.perf_counter())
    elif job != NOTHING:
        os.execv(job, [job])
