"""What is called compatible is: every row that one version takes, the other takes, by the check that runs."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from contract_pairs import pairs, written
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from runink.contracts.changes import Effect
from runink.contracts.compatibility import Mode, breaking, verdicts
from runink.contracts.diff import diff
from runink.contracts.plan import compile_plan
from runink.contracts.witness import witness


def taken(spec, batch):
    """Return the rows of a batch that a contract takes, as they came and as they come out."""
    checked = compile_plan(spec).check(batch)
    if checked.rejected is None:
        return batch, checked.good
    rows = pa.array(range(batch.num_rows), pa.int64())
    return batch.filter(pc.invert(pc.is_in(rows, checked.rejected.rows))), checked.good


def rejections(spec, batch):
    rejected = compile_plan(spec).check(batch).rejected
    return None if rejected is None else rejected.reasons.to_pylist()


@settings(max_examples=500)
@given(st.data())
def test_a_version_that_is_compatible_takes_every_row_of_the_other(data):
    old, new = data.draw(pairs())
    changes = diff(old, new)
    for keeps, writer, reader in (
        (changes.effect.keeps_backward, old, new),
        (changes.effect.keeps_forward, new, old),
    ):
        event(f"compatible: {keeps}, changes: {min(len(changes.changes), 3)}")
        if not keeps:
            continue
        came, out = taken(writer, data.draw(written(writer)))
        assert rejections(reader, came) is None
        assert rejections(reader, out) is None


@settings(max_examples=300)
@given(pairs())
def test_a_witness_is_taken_by_the_one_and_rejected_by_the_other(pair):
    old, new = pair
    changes = diff(old, new)
    for change in breaking(changes, Mode.BACKWARD):
        found = witness(change, old, new)
        event(f"{change.sort.value}: {'a witness' if found else 'none'}")
        if found is not None:
            assert found.reasons


@given(pairs())
def test_both_directions_mirror_each_other(pair):
    old, new = pair
    mirrored = {Effect.WIDER: Effect.NARROWER, Effect.NARROWER: Effect.WIDER}
    there, back = diff(old, new).effect, diff(new, old).effect
    assert back is mirrored.get(there, there)


@given(pairs())
def test_equal_hashes_mean_that_nothing_that_counts_has_changed(pair):
    old, new = pair
    changes = diff(old, new)
    assert (old.hash == new.hash) == (not changes.changes)
    assert diff(old, replace(old, version="9.0.0")).changes == ()


@given(st.lists(pairs(), min_size=1, max_size=3), st.sampled_from(Mode))
def test_a_transitive_mode_takes_no_version_that_its_plain_one_refuses(drawn, mode):
    versions = [
        replace(spec, version=f"1.{number}.0")
        for number, spec in enumerate(one for pair in drawn for one in pair)
    ]
    *known, new = versions
    found = verdicts(new, known, mode)
    if mode is Mode.NONE:
        assert found == ()
    elif mode.is_transitive:
        assert [one.against for one in found] == [one.version for one in reversed(known)]
        plain = Mode(mode.value.removesuffix("_transitive"))
        assert found[0].breaking == verdicts(new, known, plain)[0].breaking
    else:
        assert [one.against for one in found] == [known[-1].version]
