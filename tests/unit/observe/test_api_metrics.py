"""What the doors of the API count, by herd and by door, and in how many lines."""

from __future__ import annotations

from runink.observe.api_metrics import Answered, ApiMetrics, Carrier
from runink.observe.exposition import exposition
from runink.observe.metrics import METRICS, Reading
from runink.observe.tallies import HERD_SETS_MAX, OTHER


def metrics() -> ApiMetrics:
    return ApiMetrics(clock=lambda: 0.0)


def answered(operation: str = "runs.get", herd: str = "sales", status: int = 200, code: str = "", seconds: float = 0.002) -> Answered:  # fmt: skip
    return Answered(operation, herd, status, code, seconds)


def told(of: ApiMetrics, name: str) -> dict[tuple[str, ...], float]:
    """Return a metric's values by their labels, in the order of the table."""
    labels = METRICS[f"runink_api_{name}"].labels
    return {
        tuple(one.labels[label] for label in labels): one.value
        for one in of.readings()
        if one.name == f"runink_api_{name}"
    }


def test_requests_are_counted_by_herd_operation_door_and_class() -> None:
    of = metrics()
    for status in (200, 201, 404, 500):
        of.answered(Carrier.HTTP, answered(status=status))
    of.answered(Carrier.WIRE, answered(herd=""))
    assert told(of, "requests_total") == {
        ("sales", "runs.get", "http", "2xx"): 2,
        ("", "runs.get", "http", "4xx"): 1,
        ("sales", "runs.get", "http", "5xx"): 1,
        ("", "runs.get", "wire", "2xx"): 1,
    }


def test_a_herd_that_the_caller_may_not_know_of_is_no_label() -> None:
    of = metrics()
    for status in (401, 403, 404, 429):
        of.answered(Carrier.HTTP, answered(herd="made-up", status=status))
    assert {labels[0] for labels in told(of, "requests_total")} == {""}


def test_herds_and_operations_without_end_are_so_many_lines_and_none_is_lost() -> None:
    of = metrics()
    for number in range(3 * HERD_SETS_MAX):
        of.answered(Carrier.HTTP, answered(operation=f"o{number}"))
        of.answered(Carrier.HTTP, answered(herd=f"h{number}"))
        of.meter(Carrier.HTTP, f"h{number}").sent(10)
    counts = told(of, "requests_total")
    assert sum(counts.values()) == 6 * HERD_SETS_MAX
    assert len(counts) <= 700
    assert counts["sales", OTHER, OTHER, OTHER] > 0
    assert sum(told(of, "sent_bytes_total").values()) == 30 * HERD_SETS_MAX


def test_how_long_answers_took_is_told_by_door() -> None:
    of = metrics()
    of.answered(Carrier.HTTP, answered(seconds=0.0004))
    of.answered(Carrier.HTTP, answered(seconds=60.0))
    (http, wire) = (one for one in of.readings() if one.name == "runink_api_request_seconds")
    assert (http.labels, http.value) == ({"door": "http"}, 60.0004)
    assert (http.counts[1], http.counts[-1], sum(http.counts)) == (1, 1, 2)
    assert sum(wire.counts) == 0


def test_refusals_for_a_limit_are_told_by_their_code_and_others_are_not() -> None:
    of = metrics()
    for code in ("rate_limited", "rate_limited", "body_too_large", "not_found", ""):
        of.answered(Carrier.WIRE, answered(status=429, code=code))
    assert told(of, "refused_total") == {("wire", "rate_limited"): 2, ("wire", "body_too_large"): 1}


def test_bytes_are_counted_either_way() -> None:
    of = metrics()
    meter = of.meter(Carrier.HTTP, "sales")
    meter.received(100)
    meter.sent(7)
    meter.sent(0)
    of.meter(Carrier.WIRE).received(5)
    assert told(of, "received_bytes_total") == {("sales", "http"): 100, ("", "wire"): 5}
    assert told(of, "sent_bytes_total") == {("sales", "http"): 7, ("", "wire"): 0}


def test_doors_are_asked_for_what_is_open_when_somebody_looks() -> None:
    of, open_ = metrics(), {"connections": 3, "streams": 1, "refused": 2, "cut_head": 4, "addresses": 9}  # fmt: skip
    of.watch(Carrier.HTTP, "server", lambda: open_)
    of.watch(Carrier.WIRE, "desk", lambda: {"streams": 5})
    open_["connections"] = 4
    assert told(of, "connections") == {("http",): 4}
    assert told(of, "streams") == {("http",): 1, ("wire",): 5}
    assert told(of, "connections_refused_total") == {("http",): 2}
    assert told(of, "connections_cut_total") == {("http", "head"): 4}
    of.leave(Carrier.HTTP, "server")
    assert told(of, "connections") == {}


def test_all_of_it_is_text_that_prometheus_reads() -> None:
    of = metrics()
    of.answered(Carrier.HTTP, answered(code="rate_limited", status=429))
    of.watch(Carrier.HTTP, "server", lambda: {"connections": 1, "streams": 0, "refused": 0, "cut_head": 0})  # fmt: skip
    of.meter(Carrier.HTTP, "sales").sent(1)
    text = exposition(of.readings())
    assert {name for name in METRICS if name.startswith("runink_api_")} == {
        line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")
    }
    readings: list[Reading] = list(of.readings())
    assert all(set(one.labels) == set(METRICS[one.name].labels) for one in readings)
