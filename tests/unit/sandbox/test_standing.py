"""Which user namespaces have the ids that herds are given."""

from __future__ import annotations

import pytest
from runink.sandbox.ids import FIRST, RANGES
from runink.sandbox.namespaces import IDS
from runink.sandbox.standing import holds

LENGTH = RANGES * IDS


@pytest.mark.parametrize(
    "id_map",
    [
        "         0          0 4294967295\n",
        f"0 1000 1\n{FIRST} 100000 {LENGTH}\n",
        f"{FIRST + IDS} 500000 {LENGTH - IDS}\n0 0 {FIRST + IDS}\n",  # in two pieces, told in whatever order
    ],
)
def test_a_map_that_has_all_of_them_holds_them(id_map: str):
    assert holds(id_map, FIRST, LENGTH)


@pytest.mark.parametrize(
    "id_map",
    [
        "",
        "0 1000 1\n",  # unshare --map-root-user
        "0 1000 1\n1 100000 65536\n",  # what podman gives an ordinary user
        "0 1000000 1000000000\n",  # what lxd gives a container
        f"0 0 {FIRST + LENGTH - 1}\n",
        f"0 0 {FIRST}\n{FIRST + 1} 0 {LENGTH}\n",
        f"{FIRST} 0 {IDS}\n{FIRST + IDS + 1} 500000 {LENGTH}\n",
    ],
)
def test_a_map_that_lacks_one_of_them_does_not(id_map: str):
    assert not holds(id_map, FIRST, LENGTH)
