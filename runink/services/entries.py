"""What roles and bindings have in common: those of a herd stand in its record, beside its file; those of the cluster each under a key of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from msgspec.structs import replace as changed

from runink.barn.keys import OF_CLUSTER, Keys
from runink.clients.barn import BarnClient, Found
from runink.errors import Conflict, Invalid, NotFound
from runink.herds.record import HerdRecord
from runink.operations.calls import Condition, Context


class Named(Protocol):
    """What goes by a name, within its herd or the cluster."""

    @property
    def name(self) -> str: ...


E = TypeVar("E", bound=Named)


@dataclass(frozen=True, slots=True)
class Entries(Generic[E]):
    """A sort of entries. `field` holds them in a herd's record, and the names of those beside its file in `apart`; `word` is what people call one."""

    word: str
    type: type[E]
    keys: Keys
    field: str
    entries_max: int
    too_many: str  # what to do then

    def of(self, herd: HerdRecord) -> tuple[E, ...]:
        """Return those of a herd."""
        entries: tuple[E, ...] = getattr(herd, self.field)
        return entries

    def find(self, herd: HerdRecord, name: str) -> E | None:
        """Return a herd's entry of this name, if there is one."""
        return next((one for one in self.of(herd) if one.name == name), None)

    def get(self, herd: HerdRecord, name: str) -> E:
        """Return a herd's entry of this name. Raises NotFound (`no_such_WORD`)."""
        found = self.find(herd, name)
        if found is None:
            raise self._missing(name)
        return found

    def added(self, herd: HerdRecord, entry: E) -> HerdRecord:
        """Return a herd that has an entry, beside its file. Raises Invalid if it has too many."""
        others = tuple(one for one in self.of(herd) if one.name != entry.name)
        self.check_room(len(others), f"herd {herd.herd}")
        return self._with(herd, (*others, entry), {*self._apart(herd), entry.name})

    def replaced(self, herd: HerdRecord, entry: E) -> HerdRecord:
        """Return a herd whose entry of this name is another one. Raises NotFound."""
        self.get(herd, entry.name)
        anew = (entry if one.name == entry.name else one for one in self.of(herd))
        return changed(herd, **{self.field: tuple(anew)})

    def without(self, herd: HerdRecord, name: str) -> HerdRecord:
        """Return a herd without an entry, whether it has it or not."""
        rest = tuple(one for one in self.of(herd) if one.name != name)
        return self._with(herd, rest, self._apart(herd) - {name})

    def check_new(
        self, entry: E, known: E | None, context: Context, *, made_ms: int | None = None
    ) -> None:
        """Raise Conflict (`exists`) if the entry is there, unless the same call may have made it: by what it says, and by when it was made, where that is known."""
        if known is None:
            return
        may_be_ours = context.once != "" if made_ms is None else context.may_have_made(made_ms)
        if not (may_be_ours and known == entry):
            text = f"there is a {self.word} {entry.name} already"
            raise Conflict(text, code="exists", hint="update it")

    def check_room(self, count: int, where: str) -> None:
        """Raise Invalid if there may be no more than there are."""
        if count >= self.entries_max:
            text = f"{where} has {self.entries_max:,} {self.word}s, and may have no more"
            raise Invalid(text, hint=self.too_many)

    async def stored(
        self, barn: BarnClient, name: str, condition: Condition | None = None
    ) -> Found[E]:
        """Return an entry of the cluster. Raises NotFound (`no_such_WORD`), and Conflict if it is not as the condition says."""
        found = await barn.get(self.keys.key(OF_CLUSTER, name), self.type)
        if found is None:
            raise self._missing(name)
        if condition is not None:
            condition.check(found.revision, what=f"{self.word} {name}")
        return found

    def _apart(self, herd: HerdRecord) -> set[str]:
        return set(getattr(herd.apart, self.field))

    def _with(self, herd: HerdRecord, entries: tuple[E, ...], apart: set[str]) -> HerdRecord:
        beside: Any = changed(herd.apart, **{self.field: tuple(sorted(apart))})
        return changed(herd, apart=beside, **{self.field: entries})

    def _missing(self, name: str) -> NotFound:
        return NotFound(f"there is no {self.word} {name}", code=f"no_such_{self.word}")
