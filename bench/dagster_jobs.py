"""No-op jobs in Dagster: a reference of `runs.py`. Prints seconds of: one step in its own process; 1-98-1 steps in this process."""

from __future__ import annotations

import json
import tempfile
import time
from typing import Any

from dagster import (
    DagsterInstance,
    In,
    Nothing,
    execute_job,
    job,
    multiprocess_executor,
    op,
    reconstructable,
)

WIDE = 98


@op
def nothing() -> None:
    pass


@op(ins={"before": In(Nothing)})
def wide() -> None:
    pass


@op(ins={"before": In(Nothing)})
def last() -> None:
    pass


@job(executor_def=multiprocess_executor)
def one() -> None:
    nothing()


@job
def fan() -> None:
    first = nothing()
    last([wide.alias(f"wide_{number}")(first) for number in range(WIDE)])


def timed(call: Any) -> float:
    began = time.perf_counter()
    assert call().success
    return time.perf_counter() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        instance = DagsterInstance.local_temp(folder)
        one_s = timed(lambda: execute_job(reconstructable(one), instance=instance))
        fan.execute_in_process(instance=instance)
        fan_s = timed(lambda: fan.execute_in_process(instance=instance))
        print(json.dumps({"one": one_s, "fan": fan_s}))


if __name__ == "__main__":
    main()
