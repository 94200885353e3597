"""Metrics as Prometheus reads them: the text exposition format 0.0.4, written by aioprometheus.

It is the only place that knows that library, and it is loaded by who shows metrics only.  Label values are escaped here, because the library (23.12.0)
writes them as they are: one quotation mark in one would make all of the text unreadable.  A lone surrogate, for which UTF-8 has nothing, is shown as its number.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from aioprometheus.collectors import Collector, Counter, Gauge, Histogram, Registry
from aioprometheus.histogram import Histogram as Distribution
from aioprometheus.renderer import render

from runink.errors import encodable
from runink.observe.metrics import METRICS, Kind, Metric, Reading

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_COLLECTORS: Final[dict[Kind, type[Collector]]] = {
    Kind.COUNTER: Counter,
    Kind.GAUGE: Gauge,
    Kind.HISTOGRAM: Histogram,
}


def exposition(readings: Iterable[Reading]) -> str:
    """Return the readings as text, by name. Raises KeyError for a metric that the table does not have: a newer member's are left out by who asks."""
    return "".join(expositions(readings))


def expositions(readings: Iterable[Reading]) -> Iterator[str]:
    """Yield the text of one metric after the other: there may be thousands of readings, and who writes them has other things to do between."""
    by_name: defaultdict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        by_name[reading.name].append(reading)
    for name in sorted(by_name):
        yield _text(METRICS[name], by_name[name])


def _text(metric: Metric, readings: Iterable[Reading]) -> str:
    registry = Registry()
    collector = _COLLECTORS[metric.kind](metric.name, metric.help, None, registry)
    for reading in readings:
        labels = {name: escaped(value) for name, value in reading.labels.items()}
        if metric.kind is Kind.HISTOGRAM:
            collector.set_value(labels, _distribution(metric, reading))
        else:
            collector.set_value(labels, _number(reading.value))
    text, _ = render(registry, ())
    return text.decode()


def _distribution(metric: Metric, reading: Reading) -> Distribution:
    found = Distribution(*metric.bounds)
    cumulative = list(accumulate(reading.counts))
    found.buckets.update(zip((*metric.bounds, math.inf), cumulative, strict=True))
    found.observations = cumulative[-1]
    found.sum = reading.value
    return found


def _number(value: float) -> float:
    return int(value) if math.isfinite(value) and value == int(value) else value


def escaped(value: str) -> str:
    """Return a label's value as it stands between quotation marks."""
    text = encodable(value)
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
