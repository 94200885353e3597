"""The networks of herds whose slices have egress: each is made once by a short-lived process (`network_helper.py`) and held for as long as the spawner lives.

state      on                          becomes
(none)     a launch wants it           making      the process is started
making     its answer                  ready       the namespace is ours; or failed, told to every launch that waits, and forgotten
making     MAKE_S without an answer    failed
ready      a launch, another policy    making      the rules are renewed; slices that run keep their network meanwhile
"""

from __future__ import annotations

import json
import os
from typing import NamedTuple

from runink.sandbox.log import describe, log
from runink.sandbox.network import MAKE_S, Answer, Asked, answer, begin

REMOVE_S = 5.0  # at the end: half a second when all is well
ENOUGH = 64  # herds with egress on one node: each has a fork server


class Failure(NamedTuple):
    """Why there is no network, in the words of an answer to a launch."""

    code: str
    text: str


class HerdNetwork:
    """One. `namespace` is -1 until it was made, `resolver` the text of its slices' resolv.conf."""

    __slots__ = ("asked", "failure", "namespace", "policy", "resolver", "since_s")

    def __init__(self) -> None:
        self.asked: Asked | None = None
        self.failure: Failure | None = None
        self.namespace = -1
        self.policy: str | None = None
        self.resolver = ""
        self.since_s = 0.0

    @property
    def is_ready(self) -> bool:
        return self.asked is None and self.namespace >= 0


class HerdNetworks:
    """One for a spawner. `node` and `state` tell its networks from those of others on the machine. `are_possible` says whether it has the rights for them."""

    def __init__(self, node: str, state: str, *, are_possible: bool) -> None:
        self.are_possible = are_possible
        self._node = node
        self._state = state
        self._networks: dict[str, HerdNetwork] = {}

    @property
    def pids(self) -> set[int]:
        """The processes that are at work."""
        return {one.asked.pid for one in self._networks.values() if one.asked is not None}

    def links(self) -> list[int]:
        """Return the descriptors that become readable with an answer."""
        return [one.asked.link.fileno() for one in self._networks.values() if one.asked is not None]

    def of(self, herd: str, policy: str, *, now_s: float) -> HerdNetwork:
        """Return the herd's network with this policy (JSON), whatever state it is in."""
        found = self._networks.get(herd)
        if found is None:
            if len(self._networks) >= ENOUGH:
                full = HerdNetwork()
                full.failure = Failure("too_many_networks", f"{ENOUGH} herds have a network here")
                return full
            found = self._networks[herd] = HerdNetwork()
        if found.asked is None and found.failure is None and found.policy != policy:
            self._ask(herd, found, policy, now_s)
        return found

    def forget_failure(self, herd: str) -> None:
        """Have the next launch try again."""
        found = self._networks.get(herd)
        if found is not None and found.failure is not None:
            found.failure = None
            found.policy = None
            if found.namespace < 0:
                del self._networks[herd]

    def hear(self, ready: set[int]) -> None:
        """Take in the answers that have come."""
        for herd, one in self._networks.items():
            if one.asked is not None and one.asked.link.fileno() in ready:
                self._settle(herd, one, answer(one.asked))

    def give_up(self, *, now_s: float) -> None:
        """End what takes too long."""
        for one in self._networks.values():
            if one.asked is not None and one.since_s + MAKE_S <= now_s:
                one.asked.abandon()
                one.asked = None
                one.failure = Failure("network_unavailable", f"not made within {MAKE_S:.0f} s")

    def next_due_s(self) -> float | None:
        times = (one.since_s + MAKE_S for one in self._networks.values() if one.asked is not None)
        return min(times, default=None)

    def close(self) -> None:
        """Let go of all networks. What no process holds any more the kernel takes away; rules of this node that are left then are removed."""
        were_made = any(one.namespace >= 0 for one in self._networks.values())
        for one in self._networks.values():
            if one.asked is not None:
                one.asked.abandon()
            if one.namespace >= 0:
                os.close(one.namespace)
        self._networks.clear()
        if were_made:
            self._remove()

    def _remove(self) -> None:
        try:
            asked = begin("remove", {"node": self._node, "state": self._state})
        except OSError as error:
            log("rules of networks stay", problem=describe(error))
            return
        asked.link.settimeout(REMOVE_S)
        try:
            came = answer(asked)
        except TimeoutError:
            asked.abandon()
            log("rules of networks stay", problem=f"not removed within {REMOVE_S:.0f} s")
        else:
            if came.code:
                log("rules of networks stay", problem=str(came.fields.get("text", "")))
        os.waitpid(asked.pid, 0)

    def _ask(self, herd: str, network: HerdNetwork, policy: str, now_s: float) -> None:
        order = {"node": self._node, "state": self._state, "herd": herd}
        try:
            if policy:
                order |= {"policy": json.loads(policy)}
            network.asked = begin("make", order, held=network.namespace)
        except (OSError, ValueError, RecursionError) as error:
            network.failure = Failure("network_unavailable", describe(error))
            return
        network.policy, network.since_s = policy, now_s

    def _settle(self, herd: str, network: HerdNetwork, came: Answer) -> None:
        network.asked = None
        fields = came.fields
        if came.code:
            hint = f"; {fields['hint']}" if fields.get("hint") else ""
            network.failure = Failure(came.code, f"{fields.get('text', '')}{hint}")
            log("herd has no network", herd=herd, problem=network.failure.text)
            return
        if network.namespace >= 0:
            os.close(network.namespace)
        network.namespace, network.resolver = came.namespace, str(fields.get("resolv_conf", ""))
        log("herd has its network", herd=herd, address=str(fields.get("herd_address")))
