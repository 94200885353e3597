"""What pairs join is one: the law of `joined`, beside a plain walk."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from runink.topology import joined

NAMES = some.lists(some.integers(0, 30), unique=True, min_size=1)


@given(some.data())
def test_each_is_named_by_the_first_that_a_way_of_pairs_leads_to(data: some.DataObject) -> None:
    names = data.draw(NAMES)
    one = some.sampled_from(names)
    pairs = data.draw(some.lists(some.tuples(one, one)))
    for name, first in joined(names, pairs).items():
        reached = {name}
        while more := {b for a, b in (*pairs, *(p[::-1] for p in pairs)) if a in reached} - reached:
            reached |= more
        assert first == next(other for other in names if other in reached)
