"""What steps do, done behind the slice's filter: `python sealed_work.py WORK none|egress FOLDER [ADDRESS [BUCKET]]`.  With `open` the work puts it on itself.

The filter is put on before anything of the work is even imported, which is more than a slice asks: its fork server has imported before.
The answer is written as JSON.  Standard library only at the top, so that a work can be done by a Python that has nothing else.
"""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import Any

from runink.sandbox import privileges, seccomp
from runink.sandbox.syscalls import CLONE_NEWNET, call

ROWS = 200_000


def threads(_: Path) -> Any:
    import threading

    found: list[int] = []
    started = [threading.Thread(target=found.append, args=(number,)) for number in range(8)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return sorted(found)


def programs(_: Path) -> Any:
    """Start programs by each way that Python has: fork and exec, vfork, posix_spawn."""
    import os
    import subprocess

    def said(**options: Any) -> str:
        return subprocess.run(
            ["/bin/echo", "here"], capture_output=True, text=True, check=True, **options
        ).stdout.strip()

    pid = os.posix_spawn("/bin/true", ["true"], {})
    return [
        said(),  # vfork
        said(preexec_fn=int),  # fork
        said(close_fds=False),  # posix_spawn
        os.waitpid(pid, 0)[1],
        os.system("exit 3") >> 8,  # the oldest way
    ]


def processes(_: Path) -> Any:
    import multiprocessing

    found = []
    for way in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(way).Pool(2) as pool:
            found.append(pool.map(abs, [-1, -2, -3]))
    shared = multiprocessing.Value("i", 7)
    return [*found, shared.value]


def event_loop(folder: Path) -> Any:
    """Use what asyncio is made of: epoll, its own pipe, a child's pidfd, a Unix server."""
    import asyncio

    async def work() -> Any:
        child = await asyncio.create_subprocess_exec("/bin/echo", "here", stdout=-1)
        said, _ = await child.communicate()

        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_unix_server(greet, folder / "socket"):
            reader, writer = await asyncio.open_unix_connection(folder / "socket")
            heard = await reader.read()
            writer.close()
            await writer.wait_closed()
        return [said.decode().strip(), heard.decode(), await asyncio.to_thread(abs, -1)]

    return asyncio.run(work())


def numpy(_: Path) -> Any:
    import numpy as np

    square = np.arange(250_000, dtype=float).reshape(500, 500)
    return [float((square @ square.T)[0, 0]), int(np.sort(np.arange(ROWS)[::-1])[0])]


def arrow(folder: Path) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv
    import pyarrow.parquet

    table = pa.table({"key": [row % 7 for row in range(ROWS)], "value": list(range(ROWS))})
    pa.csv.write_csv(table, folder / "table.csv")
    read = pa.csv.read_csv(folder / "table.csv")
    pa.parquet.write_table(read, folder / "table.parquet", compression="zstd")
    again = pa.parquet.read_table(folder / "table.parquet", memory_map=True)
    return [pc.sum(again["value"]).as_py(), again.group_by("key").aggregate([("value", "sum")]).num_rows]  # fmt: skip


def polars(folder: Path) -> Any:
    import polars as pl

    rows = pl.DataFrame({"key": [row % 7 for row in range(ROWS)], "value": range(ROWS)})
    rows.write_parquet(folder / "rows.parquet")
    query = pl.scan_parquet(folder / "rows.parquet").group_by("key").agg(pl.col("value").sum())
    streamed = query.collect(engine="streaming")
    return [query.collect().height, int(streamed["value"].sum())]


def duckdb(folder: Path) -> Any:
    """Query, and sort more than the memory limit holds: it must spill to files and come back."""
    import duckdb

    with duckdb.connect(str(folder / "file.duckdb")) as database:
        database.execute("SET threads = 2")
        database.execute("SET memory_limit = '64MB'")
        database.execute(f"SET temp_directory = '{folder / 'spill'}'")
        database.execute(
            "CREATE TABLE numbers AS SELECT hash(range) AS key, repeat('x', 40) || range AS text FROM range(1500000)"
        )
        reader = database.execute("SELECT key, text FROM numbers ORDER BY key")
        first = reader.fetchone()
        spilled = sum(file.stat().st_size for file in (folder / "spill").iterdir())
        least = database.execute("SELECT min(key) FROM numbers").fetchone()
        assert first is not None
        assert least is not None
        return [first[0] == least[0], spilled > 0]


def names(_: Path) -> Any:
    """Ask for a name's addresses and for the machine's network cards: the C library does it with a netlink socket."""
    import socket

    found = {entry[4][0] for entry in socket.getaddrinfo("localhost", 80)}
    try:
        cards = "done" if socket.if_nameindex() else "none"
    except OSError as error:
        cards = errno.errorcode[error.errno or 0]
    return ["127.0.0.1" in found, cards]


def http(_: Path, address: str) -> Any:
    import asyncio

    import aiohttp

    async def work() -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.get(address.replace("127.0.0.1", "localhost")) as response,
        ):
            return response.status

    return asyncio.run(work())


def object_store(_: Path, address: str, bucket: str) -> Any:
    import s3fs

    store = s3fs.S3FileSystem(endpoint_url=address, key="testing", secret="testing")
    store.mkdir(bucket)
    store.pipe(f"{bucket}/key", b"content")
    return [store.cat(f"{bucket}/key").decode(), store.ls(bucket)]


def installed_without_no_new_privs(_: Path) -> Any:
    """Try to put the filter on too early, as root, whom the kernel would let; say what could be done afterwards."""
    try:
        seccomp.install(seccomp.prepared(egress=False))
    except OSError as error:
        return [errno.errorcode[error.errno or 0], error.strerror, unshared()]
    return "installed"


def thread_that_was_there(_: Path) -> Any:
    """Put the filter on beside a thread, and have that one try."""
    import queue
    import threading

    asked: queue.SimpleQueue[None] = queue.SimpleQueue()
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def obey() -> None:
        for _ in range(2):
            asked.get()
            answers.put(unshared())

    thread = threading.Thread(target=obey)
    thread.start()
    asked.put(None)
    found = [answers.get()]
    privileges.forbid_new_privileges()
    seccomp.install(seccomp.prepared(egress=False))
    asked.put(None)
    found.append(answers.get())
    thread.join()
    return found


def unshared() -> str:
    """Say how it goes when a new network is asked for."""
    try:
        call("unshare", CLONE_NEWNET)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def main() -> None:
    work, mode, folder, *rest = sys.argv[1:]
    if mode != "open":
        privileges.forbid_new_privileges()
        seccomp.install(seccomp.prepared(egress=mode == "egress"))
    json.dump(globals()[work](Path(folder), *rest), sys.stdout)


if __name__ == "__main__":
    main()
