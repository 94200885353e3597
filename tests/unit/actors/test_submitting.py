"""What is submitted hangs together with the herd that it is for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from runink.actors.submitting import submitted
from runink.clients.run_requests import Submit
from runink.errors import Invalid
from runink.herds.record import HerdRecord
from runink.names import BundleHash, HerdName, RunId

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from run_world import staged_dag

DAG = staged_dag("a")


def asked(herd: HerdName) -> Submit:
    return Submit(RunId("1"), DAG, HerdRecord(herd), "/p", BundleHash("b"))


def test_a_pipeline_of_one_herd_makes_no_run_of_another() -> None:
    assert submitted(asked(DAG.herd), None, session="", now_ms=1).record.herd == DAG.herd
    with pytest.raises(Invalid) as refused:
        submitted(asked(HerdName("other")), None, session="", now_ms=1)
    assert refused.value.code == "pipeline_unsound"
