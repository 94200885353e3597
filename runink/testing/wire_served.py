"""Which messages go over the wire, by the actor that serves them: what a fuzzer throws at it, and what the page of the protocol is held against."""

from __future__ import annotations

from typing import Final

from runink.actors.peers import PeerMessages, SnapshotChunk
from runink.clients.api_requests import ApiRequest
from runink.clients.barn_requests import BarnRequest
from runink.clients.cluster import API, GOVERNANCE, RUNS
from runink.clients.node_files import FILES, SHELF, ReadFiles
from runink.clients.run_requests import DeskRequest, GovernanceRequest
from runink.runtime.directory import message_types

SERVED: Final = {
    "barn": message_types(BarnRequest | PeerMessages | SnapshotChunk),
    GOVERNANCE: message_types(GovernanceRequest),
    RUNS: message_types(DeskRequest),
    API: message_types(ApiRequest),
    FILES: message_types(ReadFiles),
    SHELF: message_types(ReadFiles),
}
