"""What a herd's file says of slices whose node cannot reach the cluster."""

from __future__ import annotations

import pytest
from runink.errors import Invalid
from runink.herds.file import LOST_WAIT_MS, read_herd


@pytest.mark.parametrize(
    ("lines", "wait_ms"),
    [
        ("", 0),
        ('on_lost = "restart"', 0),
        ('on_lost = "continue"', LOST_WAIT_MS),
        ('on_lost = "continue"\nlost_wait = "2h"', 7_200_000),
    ],
)
def test_slices_are_waited_for_where_the_herd_wants_them_to_go_on(lines: str, wait_ms: int):
    assert read_herd(f'[herd]\nid = "h"\n{lines}\n', file="h.toml").lost_wait_ms == wait_ms


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('on_lost = "contine"', "there is no on_lost contine"),
        ('lost_wait = "2h"', "lost_wait waits for nothing"),
        ('on_lost = "continue"\nlost_wait = "200h"', "seven days at most"),
        ('on_lost = "continue"\nlost_wait = "soon"', "lost_wait: "),
    ],
)
def test_a_slip_in_it_is_told_with_its_place(lines: str, told: str):
    with pytest.raises(Invalid) as refused:
        read_herd(f'[herd]\nid = "h"\n{lines}\n', file="h.toml")
    (finding,) = refused.value.findings
    assert told in finding.text
    assert finding.span is not None
