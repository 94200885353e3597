"""What a herd's file says of the nodes that its slices go to."""

from __future__ import annotations

import pytest
from runink.errors import Invalid
from runink.herds.file import read_herd


@pytest.mark.parametrize(
    ("line", "own_nodes"), [("", False), ('nodes = "any"', False), ('nodes = "own"', True)]
)
def test_a_herd_may_have_its_slices_on_its_own_nodes_only(line: str, *, own_nodes: bool):
    assert read_herd(f'[herd]\nid = "h"\n{line}\n', file="h.toml").own_nodes is own_nodes


@pytest.mark.parametrize("said", ['"mine"', "true", '["own"]'])
def test_a_slip_in_it_is_told_with_its_place(said: str):
    with pytest.raises(Invalid) as refused:
        read_herd(f'[herd]\nid = "h"\nnodes = {said}\n', file="h.toml")
    (finding,) = refused.value.findings
    assert finding.text.startswith("there is no nodes ")
    assert finding.span is not None
    assert finding.span.line == 3
