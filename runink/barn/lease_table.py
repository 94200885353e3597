"""The leases that are granted, and the keys that end with them.

A lease is a value that is replaced when it is renewed, so that a picture of all of them is a row of references.  Its id is the place in the log of the entry that
granted it, above whatever ids the leases of a restored backup have.
"""

from __future__ import annotations

import msgspec

from runink.barn.commands import Declined

LEASE_BYTES = 200  # what a lease counts for against the quota


class LeaseView(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A lease, for who watches the time: `renewals` tells two renewals apart."""

    lease: int
    ttl_ms: int
    renewals: int


class LeaseTable:
    """Leases by id, in the order in which they were granted."""

    def __init__(self, kept: tuple[LeaseView, ...] = (), *, base: int = 0) -> None:
        self.base = base  # what is added to the place in the log
        self._leases = {view.lease: view for view in kept}
        self._keys: dict[int, set[str]] = {}  # only of leases that have any

    def __len__(self) -> int:
        return len(self._leases)

    def __contains__(self, lease: int) -> bool:
        return lease in self._leases

    def get(self, lease: int) -> LeaseView | None:
        return self._leases.get(lease)

    def views(self) -> tuple[LeaseView, ...]:
        return tuple(self._leases.values())

    def keys(self, lease: int) -> list[str]:
        """Return the keys of a lease, in order."""
        return sorted(self._keys.get(lease, ()))

    def grant(self, index: int, ttl_ms: int) -> LeaseView:
        view = LeaseView(self.base + index, ttl_ms, 0)
        self._leases[view.lease] = view
        return view

    def renew(self, lease: int) -> LeaseView:
        """Begin a lease's time anew; it must be there."""
        known = self._leases[lease]
        view = LeaseView(lease, known.ttl_ms, known.renewals + 1)
        self._leases[lease] = view
        return view

    def end(self, lease: int) -> None:
        """Forget a lease; its keys must be deleted by now."""
        assert not self._keys.get(lease)
        del self._leases[lease]
        self._keys.pop(lease, None)

    def attach(self, lease: int, key: str) -> None:
        self._keys.setdefault(lease, set()).add(key)

    def detach(self, lease: int, key: str) -> None:
        keys = self._keys[lease]
        keys.remove(key)
        if not keys:
            del self._keys[lease]


def no_lease(lease: int) -> Declined:
    """Return the answer for whoever names a lease that is not there."""
    return Declined("lease_not_found", f"lease {lease} has ended or never was")
