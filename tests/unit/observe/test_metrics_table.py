"""The table of metrics: what each is called, its kind and unit as Prometheus wants them, and the buckets of a histogram."""

from __future__ import annotations

import re

import pytest
from runink.observe.metrics import METRICS, SECONDS, Histogram, Kind


@pytest.mark.parametrize("name", METRICS)
def test_a_name_says_its_kind_and_unit_as_prometheus_wants_it(name: str):
    metric = METRICS[name]
    assert re.fullmatch(r"runink_[a-z]+(_[a-z]+)+", name)
    assert name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert name.endswith("_seconds") or metric.kind is not Kind.HISTOGRAM
    assert metric.help.endswith(".")
    assert "\n" not in metric.help
    assert "\\" not in metric.help


@pytest.mark.parametrize("name", METRICS)
def test_labels_have_names_that_prometheus_leaves_to_us(name: str):
    labels = METRICS[name].labels
    assert len(set(labels)) == len(labels)
    assert not set(labels) & {"job", "instance", "le", "quantile"}
    assert all(re.fullmatch(r"[a-z]+", label) for label in labels)


def test_a_histogram_counts_what_is_at_or_below_each_bound():
    histogram = Histogram("runink_barn_log_write_seconds")
    for seconds in (0.0001, 0.001, 0.0011, 100.0):
        histogram.observe(seconds)
    reading = histogram.reading()
    assert sum(reading.counts) == 4
    assert len(reading.counts) == len(SECONDS) + 1
    assert reading.counts[:4] == (1, 0, 1, 1)
    assert reading.counts[-1] == 1
    assert reading.value == pytest.approx(100.0022)
