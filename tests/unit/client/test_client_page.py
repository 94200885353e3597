"""The examples of the page about the Python client, run against a server of the real catalog."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from served_cluster import served_cluster

PAGE = Path(__file__).parents[3] / "docs" / "python-client.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_examples_of_the_page_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served_cluster(tmp_path, "sales", "stock", tokens={}) as cluster:
        names = {"address": cluster.socket}
        for example in EXAMPLES:
            exec(example, names)
    said = capsys.readouterr().out.splitlines()
    assert said[:4] == ["sales declared", "stock declared", "sales declared", "no_such_herd there is no herd nowhere"]  # fmt: skip
    assert said[-3:] == ["sales", "stock", "2"]
    assert len(EXAMPLES) == 4
