"""A Dask cluster of one machine, from a cold shell to ready: a reference of `runs.py`. Says `ready`, then waits for the end of its input."""

from __future__ import annotations

import sys

from distributed import Client, LocalCluster

if __name__ == "__main__":
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        assert client.submit(int, "1").result() == 1
        print("ready", flush=True)
        sys.stdin.read()
