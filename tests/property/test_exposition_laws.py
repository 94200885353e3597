"""Whatever labels say, the text of metrics is read as it was meant; Prometheus's own Python client is the reader."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from runink.errors import encodable
from runink.observe.exposition import exposition
from runink.observe.metrics import Reading

VALUES = st.text(max_size=40) | st.text(alphabet='"\\\n\r\0 {},=#n\u2028é\ud800', max_size=12)
STEPS = st.tuples(VALUES, VALUES, VALUES)


@given(
    st.dictionaries(STEPS, st.integers(0, 10**6), min_size=1, max_size=8), st.integers(0, 10**15)
)
def test_any_label_value_comes_back(counts: dict[tuple[str, str, str], int], term: int):
    readings = [
        Reading(
            "runink_step_rows_in_total",
            count,
            dict(zip(("herd", "pipeline", "step"), labels, strict=True)),
        )
        for labels, count in counts.items()
    ]
    text = exposition([*readings, Reading("runink_barn_term", term)])
    families = {one.name: one for one in text_string_to_metric_families(text)}
    assert set(families) == {"runink_step_rows_in", "runink_barn_term"}
    found = {
        (one.labels["herd"], one.labels["pipeline"], one.labels["step"]): one.value
        for one in families["runink_step_rows_in"].samples
    }
    assert found == {tuple(map(encodable, labels)): count for labels, count in counts.items()}
    assert [one.value for one in families["runink_barn_term"].samples] == [term]
