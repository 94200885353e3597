"""What a slice may say that it has prepared: each sink's own output at its own place, by any of its names, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace as changed
from runink.actors.outputs import Own, accepted, mine
from runink.connectors.targets import target_of
from runink.dag import Format, Mode, Sink
from runink.errors import WireError
from runink.jobs import Done, Drifted, EdgeFacts, Failed, NodeFacts, Prepared, Rejections, Ticket
from runink.names import RunId, SliceId

TICKET = Ticket(RunId("0" * 26), SliceId("a"), 1)
REFUSAL = WireError("Refused", "step_failed", "x")


def sink(path: str, mode: Mode = Mode.OVERWRITE, *, name: str = "a.sink") -> Sink:
    return Sink(name, "a", f"csv://{path}", Format.CSV, path, mode=mode)


def outputs(root: Path, *sinks: Sink) -> Own:
    targets = {
        one.id: None if one.path == "-" else target_of(one, root=root, ticket=TICKET)
        for one in sinks
    }
    return Own(frozenset({"a.source", *targets}), targets)


def prepared(root: Path, node: Sink) -> Prepared:
    """Return what the slice's own writer says."""
    target = target_of(node, root=root, ticket=TICKET)
    multipart = f"{target.place}?uploadId=7"
    return Prepared(
        node.id,
        node.uri,
        "multipart" if target.is_multipart else "file",
        multipart if target.is_multipart else target.aside,
        target.place,
        node.mode.value,
        1,
        1,
        "",
        extra={"upload": "7", "mark": target.mark} if target.is_multipart else {},
    )


@pytest.mark.parametrize("path", ["out/y.csv", "/tmp/y.csv", "s3://b/y.csv", "gs://b/y.csv"])
@pytest.mark.parametrize("mode", list(Mode))
def test_what_a_sink_writes_is_accepted(tmp_path: Path, path: str, mode: Mode) -> None:
    node = sink(path, mode)
    for report in (Done(prepared=(prepared(tmp_path, node),)), Failed(REFUSAL, prepared=(prepared(tmp_path, node),))):  # fmt: skip
        assert accepted(report, outputs(tmp_path, node)) == report


def test_standard_output_is_a_stream_and_nothing_else(tmp_path: Path) -> None:
    node = sink("-")
    stream = Prepared("a.sink", node.uri, "stream", "", "-", "overwrite", 1, 1, "")
    known = outputs(tmp_path, node)
    assert accepted(Done(prepared=(stream,)), known) == Done(prepared=(stream,))
    forged = changed(stream, kind="file", aside="/etc/shadow", target=f"{tmp_path}/x")
    assert isinstance(accepted(Done(prepared=(forged,)), known), Failed)
    assert isinstance(accepted(Done(prepared=(stream,)), outputs(tmp_path, sink("x.csv"))), Failed)


@pytest.mark.parametrize(
    "forged",
    [
        {"sink": "b.sink"},
        {"uri": "csv://elsewhere.csv"},
        {"kind": "multipart"},
        {"kind": "stream"},
        {"aside": "/etc/shadow"},
        {"target": "/etc/cron.d/x"},
        {"target": "s3://b/y.csv"},
        {"mode": "append"},
    ],
)
def test_anything_else_is_refused_and_nothing_of_it_is_kept(
    tmp_path: Path, forged: dict[str, str]
) -> None:
    node = sink("out/y.csv")
    mine = prepared(tmp_path, node)
    for kind in (Done(), Failed(REFUSAL)):
        report = changed(kind, prepared=(mine, changed(mine, **forged)))
        found = accepted(report, outputs(tmp_path, node))
        assert isinstance(found, Failed)
        assert (found.error.code, found.prepared) == ("bad_report", ())


@pytest.mark.parametrize(
    "forged",
    [
        {"target": "s3://other/y.csv"},
        {"aside": "/etc/shadow"},
        {"kind": "file"},
        {"extra": {"upload": "8", "mark": "m"}},
    ],
)
def test_an_upload_is_that_of_its_own_object(tmp_path: Path, forged: dict[str, object]) -> None:
    node = sink("s3://b/y.csv")
    report = Done(prepared=(changed(prepared(tmp_path, node), **forged),))
    assert isinstance(accepted(report, outputs(tmp_path, node)), Failed)


def test_a_place_is_known_by_the_names_that_a_slice_sees_and_told_by_its_own(
    tmp_path: Path,
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to("elsewhere")
    node = sink("out/y.csv")
    mine = prepared(tmp_path, node)
    assert mine.target == f"{tmp_path}/elsewhere/y.csv"
    # In a slice the linked folder is a mount of that name.
    inside = changed(
        mine,
        target=f"{tmp_path}/out/y.csv",
        aside=mine.aside.replace("/elsewhere/", "/out/"),
    )
    assert accepted(Done(prepared=(inside,)), outputs(tmp_path, node)) == Done(prepared=(mine,))


def test_the_slices_that_end_a_run_are_believed() -> None:
    report = Done(prepared=(Prepared("s", "u", "file", "/a", "/t", "overwrite", 1, 1, ""),))
    assert accepted(report, None) is report
    assert accepted(None, outputs(Path("/p"))) is None


def test_figures_of_nodes_that_are_another_slice_s_are_left_out(tmp_path: Path) -> None:
    own = outputs(tmp_path, sink("out/y.csv"))
    nodes = (NodeFacts("a.source", 1), NodeFacts("b.source", 1000), NodeFacts("a.sink", 1))
    rejections = tuple(Rejections(node, "f", "r", "t", 1) for node in ("b.check", "a.source"))
    drifts = tuple(
        Drifted(node, "c", "unknown", "t", 1, "d.csv") for node in ("b.check", "a.source")
    )
    edges = tuple(
        EdgeFacts(source, target, "main", 1, 1, 1)
        for source, target in (("a.source", "a.sink"), ("x", "a.source"), ("b.source", "b.sink"))
    )
    done = Done(nodes, edges, rejections, schemas={"a.source": (), "b.source": ()}, drifts=drifts)
    found = accepted(done, own)
    assert isinstance(found, Done)
    assert [one.node for one in found.nodes] == ["a.source", "a.sink"]
    assert [one.node for one in found.rejections] == ["a.source"]
    assert [one.node for one in found.drifts] == ["a.source"]
    assert found.edges == edges[:2]
    assert list(found.schemas) == ["a.source"]
    failed = accepted(Failed(REFUSAL, nodes=nodes, rejections=rejections, drifts=drifts), own)
    assert isinstance(failed, Failed)
    assert (failed.nodes, failed.rejections) == (found.nodes, found.rejections)
    assert failed.drifts == found.drifts
    assert mine(nodes, own) == found.nodes
    assert mine(nodes, None) == nodes
