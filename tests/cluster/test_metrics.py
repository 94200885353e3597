"""Metrics of a real node: promtool has nothing to say, the real Prometheus reads them whatever labels hold, and no client keeps it out."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import urlopen

import anyio
import pytest
from barn_group import WAIT_S
from barn_networks import free_port
from prometheus_client.parser import text_string_to_metric_families
from prometheus_server import lint, prometheus
from runi_project import Project, proc_text
from runink.config import Address
from runink.observe.exposition import CONTENT_TYPE, exposition
from runink.observe.http_responder import Page, Responder, serving_http
from runink.observe.metrics import METRICS, Reading

MEMORY_BYTES_MAX = 35 << 20  # of a node's process that does nothing, with what it has for itself
HOSTILE = [
    '"',
    "\\",
    "\\n",
    "a\nb",
    '\\"\n}',
    'x"} 1\nrunink_barn_term 9',
    "{}",
    "= 1",
    "# HELP",
    "é\t日本\U0010ffff",
    "\0",
    "a\0b",
    "\r\n",
    "\x1b[0m\x7f",
    "\u2028",
    "'",
    "x" * 5000,
]


@pytest.fixture
def flow(project: Project) -> Project:
    """Two slices joined by a pipe: five rows come in, one is rejected, and a step prints a line for each."""
    project.write("data/in.csv", "n\n1\n2\nx\n4\n5\n")
    project.contract("class Numbers(Contract):\n    n: int\n")
    project.step('@step(each="record")\ndef größe(row):\n    print(row)\n    return row\n')
    project.pipeline(
        '@source("csv://data/in.csv", isolate=true)\n@contract("contracts/c.py:Numbers")\n'
        '@step("größe", isolate=true)\n@sink("jsonl://out/o.jsonl")\n@deadletter("jsonl://out/dead.jsonl")'
    )
    return project


@contextmanager
def serving(project: Project, *words: str) -> Iterator[int]:
    """Keep a cluster with metrics running for as long as the block."""
    port = free_port()
    with project.up("--metrics", f"127.0.0.1:{port}", *words):
        yield port


def fetched(port: int, path: str = "/metrics") -> bytes:
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=WAIT_S) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        return answer.read()


def values(text: bytes, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Return a metric's values by some of its labels, summed over the others."""
    found: Counter[tuple[str, ...]] = Counter()
    for family in text_string_to_metric_families(text.decode()):
        for one in family.samples:
            if one.name == f"runink_{name}":
                found[tuple(one.labels[label] for label in labels)] += one.value
    return dict(found)


def test_what_runs_did_is_counted_and_promtool_has_nothing_to_say(flow: Project):
    with serving(flow, "--api") as port:
        assert flow.run().code == 0
        assert flow.run().code == 0
        assert flow.runi("api", "GET", "/herds/default/runs").code == 0
        text = fetched(port)
        assert fetched(port, "/healthz") == b"ok\n"
    assert lint(text) == ""
    rows_in = values(text, "step_rows_in_total", "herd", "pipeline", "step")
    assert rows_in["default", "p", "one.contract"] == 10
    assert rows_in["default", "p", "one.groe"] == 8
    assert sum(values(text, "step_rejected_rows_total").values()) == 2
    assert sum(values(text, "step_busy_seconds_total").values()) > 0
    edges = values(text, "edge_rows_total", "source", "target")
    assert edges["one.source", "one.contract"] == 10
    assert edges["one.contract", "one.groe"] == 8
    assert values(text, "edge_bytes_total")[()] > 0
    launched = values(text, "slice_launches_total", "outcome")
    assert launched[("launched",)] >= 4
    assert values(text, "slice_exits_total", "cause") == {("exited",): launched[("launched",)]}
    assert values(text, "slice_launch_seconds_count")[()] == launched[("launched",)]
    assert values(text, "agent_log_lines_total")[()] == 8
    assert values(text, "slice_memory_peak_bytes", "herd")[("default",)] > 1 << 20
    assert values(text, "slices_running") == {}
    assert values(text, "barn_is_leader") == {(): 1}
    asked = values(text, "api_requests_total", "herd", "operation", "door", "status")
    assert asked["default", "runs.list", "http", "2xx"] == 1
    assert values(text, "api_request_seconds_count", "door")[("http",)] >= 1
    assert values(text, "api_sent_bytes_total", "herd")[("default",)] > 0
    assert values(text, "api_connections", "door").keys() == {("http",)}


def test_every_metric_of_the_table_is_told_with_its_labels(flow: Project):
    with serving(flow, "--api") as port:
        assert flow.run().code == 0
        text = fetched(port).decode()
    for family in text_string_to_metric_families(text):
        name = family.name + ("_total" if family.type == "counter" else "")
        metric = METRICS[name]
        assert (family.type, family.documentation) == (metric.kind.value, metric.help)
        for one in family.samples:
            assert set(one.labels) - {"le"} == set(metric.labels), one
    agent = {
        name for name in METRICS if name.startswith(("runink_agent_", "runink_slice", "runink_st"))
    }
    running = {"runink_slices_running"}
    assert {name for name in agent if f"# TYPE {name} " not in text} == running


def test_the_real_prometheus_reads_a_node(flow: Project, tmp_path: Path):
    async def whole(port: int) -> None:
        async with prometheus(tmp_path / "prometheus", [port]) as server:
            target = await server.target(port)
            assert (target["health"], target["lastError"]) == ("up", "")
            found = await server.query('sum by (herd) (runink_step_rows_in_total{step="one.groe"})')
            assert found == [({"herd": "default"}, 4)]
            (info,) = await server.query("runink_node_info")
            assert info[0]["node"] == "local"

    with serving(flow) as port:
        assert flow.run().code == 0
        anyio.run(whole, port)


def test_the_real_prometheus_reads_whatever_labels_hold(tmp_path: Path):
    readings = [
        Reading("runink_step_rows_in_total", number, {"herd": "h", "pipeline": "p", "step": value})
        for number, value in enumerate(HOSTILE)
    ]

    async def page() -> Page:
        return Page(exposition(readings).encode(), content_type=CONTENT_TYPE)

    async def whole() -> None:
        place = Address("127.0.0.1", 0)
        async with (
            serving_http(place, Responder({"/metrics": page})) as port,
            prometheus(tmp_path / "prometheus", [port]) as server,
        ):
            target = await server.target(port)
            assert (target["health"], target["lastError"]) == ("up", "")
            found = await server.query("runink_step_rows_in_total")
            # A label without a value is one that is not there, so all are.
            assert {labels["step"]: value for labels, value in found} == {
                value: number for number, value in enumerate(HOSTILE)
            }

    anyio.run(whole)
    assert lint(exposition(readings).encode()) == ""


def test_two_hundred_half_requests_keep_prometheus_out_for_no_moment(project: Project):
    with serving(project) as port, ExitStack() as held:
        for _ in range(200):
            client = held.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: loc")
        text = fetched(port)
        assert values(text, "http_connections_cut_total")[()] > 100
        assert values(text, "agent_open_descriptors")[()] < 100
        assert project.runi("runs").code == 0


def test_clients_that_read_nothing_and_stay_hold_nobody_up(project: Project):
    with serving(project) as port, ExitStack() as held:
        for _ in range(100):
            client = held.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"runink_node_info" in fetched(port)


def test_an_idle_node_with_metrics_is_small(project: Project):
    with serving(project) as port:
        for _ in range(20):
            fetched(port)
        (pid,) = [pid for pid in project.processes() if "\0up\0" in proc_text(pid, "cmdline")]
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        fields = dict(line.split()[:2] for line in rollup.splitlines()[1:])
        assert int(fields["Pss:"]) << 10 < MEMORY_BYTES_MAX


def test_metrics_are_served_at_a_socket_of_this_user(project: Project):
    path = project.root / "m.sock"
    with project.up("--metrics", f"unix:{path}"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            with client.makefile("rb") as answer:
                assert b"runink_node_info" in answer.read()
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


@pytest.mark.parametrize(
    ("place", "code", "said"),
    [
        ("0.0.0.0:9464", 1, "not_loopback"),
        ("[::]:9464", 1, "not_loopback"),
        ("example.com:9464", 1, "not_loopback"),
        ("nonsense", 2, "HOST:PORT"),
    ],
)
def test_an_address_that_others_reach_is_refused(
    project: Project, place: str, code: int, said: str
):
    found = project.runi("up", "--metrics", place)
    assert said in found.err
    assert found.code == code
    assert not project.processes()


def test_an_address_that_is_taken_is_told(project: Project):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = project.runi("up", "--metrics", f"127.0.0.1:{listener.getsockname()[1]}")
    assert "cannot_listen" in found.err
    assert found.code != 0
