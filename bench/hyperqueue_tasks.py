"""No-op tasks in HyperQueue: a reference of `steps.py`. Prints the seconds that each job took from its submission.

    many    tasks that print a line, in one job, each with its two files of output; its end is the end of one more behind all of them
    one     one task by itself, several times: the median
    fan     1-98-1 tasks, the later ones behind the earlier

Server and worker run in this process, as HyperQueue's own Python package has them, without a journal: what is submitted is on no disk. Tasks are plain processes.
What they write stays in the folder that is given.
Its client looks once a second whether a job has ended. So the last task of each leaves a file, and the time ends when that is there.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median

from hyperqueue import Client, Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

NO_OP = ["/bin/true"]
SAYING = ["/bin/echo", "done"]
LAST = ["/usr/bin/touch", "ended"]
LOOK_S = 0.001
LIMIT_S = 60.0


def many(count: int, folder: Path) -> Job:
    job = Job(default_workdir=folder)
    job.program(LAST, deps=[job.program(SAYING) for _ in range(count)])
    return job


def fan(wide: int, folder: Path) -> Job:
    job = Job(default_workdir=folder)
    first = job.program(NO_OP)
    job.program(LAST, deps=[job.program(NO_OP, deps=[first]) for _ in range(wide)])
    return job


def took(client: Client, job: Job) -> float:
    folder = Path(str(job.default_workdir))
    folder.mkdir()
    began = time.perf_counter()
    client.submit(job)
    while not (folder / "ended").exists():
        if time.perf_counter() > began + LIMIT_S:
            raise SystemExit(f"HyperQueue has not ended {len(job.tasks)} tasks in {LIMIT_S} s")
        time.sleep(LOOK_S)
    seconds = time.perf_counter() - began
    kept = len(list(folder.glob("*.std*")))
    assert kept == 2 * len(job.tasks), f"{kept} files of output of {len(job.tasks)} tasks"
    return seconds


def main(folder: Path, count: int, wide: int, cores: int, turns: int) -> None:
    folder.mkdir()
    with LocalCluster(str(folder / "server"), WorkerConfig(cores)) as cluster:
        client = cluster.client()
        took(client, many(0, folder / "first"))  # its worker is there then
        ones = [took(client, many(0, folder / f"one{turn}")) for turn in range(turns)]
        fans = [took(client, fan(wide, folder / f"fan{turn}")) for turn in range(3)]
        many_s = took(client, many(count, folder / "many"))
    print(json.dumps({"many": many_s, "one": median(ones), "fan": median(fans)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
