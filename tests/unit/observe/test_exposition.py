"""The text that Prometheus reads: metrics by name below their meaning, and a line for each reading, whatever its labels say."""

from __future__ import annotations

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families
from runink.observe.exposition import exposition
from runink.observe.metrics import SECONDS, Histogram, Reading


def test_readings_of_one_name_stand_together_below_its_meaning():
    text = exposition(
        [
            Reading("runink_barn_term", 7),
            Reading("runink_barn_members", 3, {"role": "voter"}),
            Reading("runink_barn_revision", 1.5),
            Reading("runink_barn_members", 1, {"role": "learner"}),
        ]
    )
    assert text.splitlines() == [
        "# HELP runink_barn_members How many members the group has, by their role.",
        "# TYPE runink_barn_members gauge",
        'runink_barn_members{role="voter"} 3',
        'runink_barn_members{role="learner"} 1',
        "# HELP runink_barn_revision The newest revision.",
        "# TYPE runink_barn_revision gauge",
        "runink_barn_revision 1.5",
        "# HELP runink_barn_term The term of consensus.",
        "# TYPE runink_barn_term gauge",
        "runink_barn_term 7",
    ]
    assert text.endswith("\n")


def test_no_readings_are_no_text():
    assert exposition([]) == ""


def test_a_metric_that_the_table_does_not_have_is_refused():
    with pytest.raises(KeyError):
        exposition([Reading("runink_barn_newer", 1)])


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ('"', r"\""),
        ("\\", r"\\"),
        ("a\nb", r"a\nb"),
        ('\\"\n}', r"\\\"\n}"),
        ('x"} 1\nrunink_barn_term 9', r"x\"} 1\nrunink_barn_term 9"),
        ("\0", "\0"),
        ("\udc80", r"\\udc80"),
        ("", ""),
    ],
)
def test_a_label_s_value_is_escaped_once(hostile: str, shown: str):
    text = exposition([Reading("runink_barn_members", 1, {"role": hostile})])
    assert text.splitlines()[2:] == [f'runink_barn_members{{role="{shown}"}} 1']


def test_a_histogram_s_buckets_are_cumulative_and_end_with_all():
    histogram = Histogram("runink_barn_log_write_seconds")
    for seconds in (0.0001, 0.001, 0.0011, 100.0):
        histogram.observe(seconds)
    (family,) = text_string_to_metric_families(exposition([histogram.reading()]))
    name = "runink_barn_log_write_seconds"
    assert (family.name, family.type) == (name, "histogram")
    buckets = {
        float(one.labels["le"]): one.value for one in family.samples if one.name.endswith("_bucket")
    }
    assert list(buckets) == [*SECONDS, math.inf]
    assert [buckets[bound] for bound in (0.00025, 0.0005, 0.001, 0.0025, 10.0)] == [1, 1, 2, 3, 3]
    assert buckets[math.inf] == 4
    others = {one.name: one.value for one in family.samples if not one.labels}
    assert others == {f"{name}_sum": pytest.approx(100.0022), f"{name}_count": 4}


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e300, -0.25, 2**53])
def test_any_number_can_be_read_again(value: float):
    (family,) = text_string_to_metric_families(exposition([Reading("runink_barn_term", value)]))
    assert family.samples[0].value == pytest.approx(value, nan_ok=True)
