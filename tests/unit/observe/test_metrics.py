"""Metrics: every name stands in the table, and the text is what Prometheus reads, whatever a label says."""

from __future__ import annotations

import re

import pytest
from runink.observe.metrics import METRICS, SECONDS, Histogram, Kind, Reading, exposition

LABEL = r'[a-z_]+="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
LINE = re.compile(rf"[a-z_]+(?:\{{{LABEL}(?:,{LABEL})*\}})? (?:\+Inf|-?[0-9.e+-]+)")


def lines_of(*readings: Reading) -> list[str]:
    return [line for line in exposition(readings).splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("name", METRICS)
def test_a_name_says_its_kind_and_unit_as_prometheus_wants_it(name: str):
    metric = METRICS[name]
    assert re.fullmatch(r"runink_[a-z]+(_[a-z]+)+", name)
    assert name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert name.endswith("_seconds") == (metric.kind is Kind.HISTOGRAM)
    assert metric.help.endswith(".")
    assert "\n" not in metric.help


def test_readings_of_one_name_stand_together_below_its_meaning():
    text = exposition(
        [
            Reading("runink_barn_members", 3, {"role": "voter"}),
            Reading("runink_barn_term", 7),
            Reading("runink_barn_members", 1, {"role": "learner"}),
        ]
    )
    assert text.splitlines() == [
        "# HELP runink_barn_members How many members the group has, by their role.",
        "# TYPE runink_barn_members gauge",
        'runink_barn_members{role="voter"} 3',
        'runink_barn_members{role="learner"} 1',
        "# HELP runink_barn_term The term of consensus.",
        "# TYPE runink_barn_term gauge",
        "runink_barn_term 7",
    ]


@pytest.mark.parametrize("hostile", ['"', "\\", "a\nb", '\\"\n}', "{", "= 1", "é\t"])
def test_whatever_a_label_says_the_line_can_be_read(hostile: str):
    (line,) = lines_of(Reading("runink_barn_members", 1.5, {"role": hostile, "more": "x"}))
    assert LINE.fullmatch(line)


def test_a_histogram_counts_what_is_at_or_below_each_bound():
    histogram = Histogram("runink_barn_log_write_seconds")
    for seconds in (0.0001, 0.001, 0.0011, 100.0):
        histogram.observe(seconds)
    lines = lines_of(histogram.reading())
    assert all(map(LINE.fullmatch, lines))
    name = "runink_barn_log_write_seconds"
    assert f'{name}_bucket{{le="0.00025"}} 1' in lines
    assert f'{name}_bucket{{le="0.001"}} 2' in lines
    assert f'{name}_bucket{{le="0.0025"}} 3' in lines
    assert f'{name}_bucket{{le="10"}} 3' in lines
    assert lines[-3:] == [
        f'{name}_bucket{{le="+Inf"}} 4',
        f"{name}_sum 100.0022",
        f"{name}_count 4",
    ]
    assert len(lines) == len(SECONDS) + 3
