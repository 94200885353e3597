"""The page that lists the metrics says what the table says."""

from __future__ import annotations

from pathlib import Path

from runink.observe.metrics import METRICS

PAGE = Path(__file__).parents[3] / "docs/reference/metrics.md"
HEAD = "| metric | kind | labels | what it is |\n|---|---|---|---|\n"


def rows() -> str:
    return "".join(
        f"| `{one.name}` | {one.kind.value} | {', '.join(f'`{label}`' for label in one.labels)} | {one.help} |\n"
        for one in METRICS.values()
    )


def test_the_page_has_every_metric_as_it_is_in_the_table():
    _, _, found = PAGE.read_text().partition(HEAD)
    assert found == rows(), f"put this behind the table's head:\n{rows()}"
