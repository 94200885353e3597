"""Providers as people write them: TOML or JSON in, settings and what is wrong with them out.

    [[providers]]
    id, issuer, client_id                    needed
    client_secret_file                       a file that holds the client's secret; the secret itself is never written here
    audience                                 what access tokens are for, the client's id where nothing is said
    expected                                 a table of claims and what each must be: the tenant or the domain, where one issuer serves many
    token_types                              their types, at+jwt where nothing is said; others are those of ID tokens, too, so that `audience` must tell these apart
    header_members                           what the provider adds to the header of tokens, and means nothing
    scopes, algorithms, origins              lists of texts
    resource                                 sent when tokens are asked for (RFC 8707)
    authority_file                           certificates for its server, in place of the public ones
    private_addresses, loopback              true where it may be asked at such addresses (`reach.py`); loopback may be asked by http
    keys_fresh, keys_stale, look_pause       durations; see `CacheTimes`
    claims                                   a table of subject, groups, display: the claims that tell it

A key that is not in this table is a mistake, and so is what two providers share that must be one's own.
"""

from __future__ import annotations

import json
import tomllib
from typing import Any, Final

from runink.errors import Finding, Invalid, Refused, Span
from runink.identity.algorithms import Algorithm
from runink.identity.principal_mapping import claim_path
from runink.identity.providers import (
    ALGORITHMS,
    FRESH_S,
    PAUSE_S,
    STALE_S,
    TOKEN_TYPES,
    CacheTimes,
    ClaimNames,
    Provider,
)
from runink.identity.tokens import NEVER_MEMBERS
from runink.names import ProviderId, provider_id
from runink.quantities import format_duration, format_seconds, parse_duration
from runink.reach import Reach, checked_url
from runink.suggestions import near, near_or_all

CODE: Final = "I001"
FILE_BYTES_MAX: Final = 1 << 20  # a hand-written file
PROVIDERS_MAX: Final = 32  # each is asked for its keys every few minutes
LISTED_MAX: Final = 64  # entries of a list
TEXT_CHARACTERS_MAX: Final = 2_048  # of any text
# From and to, seconds.
FRESH_RANGE_S: Final = (10.0, 86_400.0)
STALE_RANGE_S: Final = (10.0, 7 * 86_400.0)
PAUSE_RANGE_S: Final = (1.0, 60.0)

# Keys that the settings have under the same name, in the same form.
_ALIKE: Final = (
    "client_secret_file",
    "audience",
    "token_types",
    "header_members",
    "algorithms",
    "scopes",
    "resource",
    "origins",
    "authority_file",
)
_CLAIMS: Final = ("subject", "groups", "display")
KEYS: Final = (
    "id",
    "issuer",
    "client_id",
    "client_secret_file",
    "audience",
    "expected",
    "token_types",
    "header_members",
    "algorithms",
    "scopes",
    "resource",
    "claims",
    "origins",
    "private_addresses",
    "loopback",
    "authority_file",
    "keys_fresh",
    "keys_stale",
    "look_pause",
)


def read_providers(text: str, *, file: str) -> tuple[Provider, ...]:
    """Return what the text says: JSON where the file's name ends so, or else TOML. Raises Invalid (`providers_invalid`) with a finding for every mistake in it."""
    if len(text) > FILE_BYTES_MAX:
        raise Invalid(f"{file} is larger than {FILE_BYTES_MAX >> 20} MiB", code="providers_invalid")
    try:
        document = json.loads(text) if file.endswith(".json") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if file.endswith(".json") else "TOML"
        raise Invalid(f"{file} is not {kind}: {error}", code="providers_invalid") from error
    reader = _Reader(text, file)
    found = reader.read(document)
    if reader.findings:
        count = len(reader.findings)
        raise Invalid(
            f"{file}: {count} mistake{'s' if count > 1 else ''}",
            findings=tuple(reader.findings),
            code="providers_invalid",
        )
    return found


def read_provider(table: dict[str, Any], *, where: str) -> Provider:
    """Return what one table says. Raises Invalid (`providers_invalid`) with a finding for every mistake, none of which has a line."""
    reader = _Reader("", where)
    found = reader.read({"providers": [table]})
    if reader.findings:
        findings = tuple(reader.findings)
        text = findings[0].text if len(findings) == 1 else f"{where}: {len(findings)} mistakes"
        raise Invalid(text, findings=findings, code="providers_invalid")
    return found[0]


def provider_table(provider: Provider) -> dict[str, Any]:
    """Return the table that says the same: only what differs from saying nothing is in it."""
    plain = Provider(id=provider.id, issuer=provider.issuer, client_id=provider.client_id)
    said: dict[str, Any] = {
        "id": provider.id,
        "issuer": provider.issuer,
        "client_id": provider.client_id,
    }
    for key in _ALIKE:
        value = getattr(provider, key)
        if value != getattr(plain, key):
            said[key] = list(value) if isinstance(value, tuple) else value
    if provider.expected:
        said["expected"] = dict(provider.expected)
    claims = {
        key: list(value) if isinstance(value, tuple) else value
        for key in _CLAIMS
        if (value := getattr(provider.claims, key)) != getattr(plain.claims, key)
    }
    times = {
        "keys_fresh": (provider.times.fresh_s, FRESH_S),
        "keys_stale": (provider.times.stale_s, STALE_S),
        "look_pause": (provider.times.pause_s, PAUSE_S),
    }
    said |= {"claims": claims} if claims else {}
    said |= {"private_addresses": True} if provider.reach.private else {}
    said |= {"loopback": True} if provider.reach.loopback else {}
    said |= {
        key: format_duration(round(s * 1000)) for key, (s, usual) in times.items() if s != usual
    }
    return said


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self._lines = text.splitlines()
        self._file = file
        self._from_line = 0  # where the table begins that is being read
        self.findings: list[Finding] = []

    def read(self, document: Any) -> tuple[Provider, ...]:
        tables = document.get("providers") if isinstance(document, dict) else None
        if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
            self._mistake("providers is a list of tables", "providers", "write [[providers]]")
            return ()
        for key in document:
            if key != "providers":
                self._mistake(f"there is no {key} beside providers", key)
        if len(tables) > PROVIDERS_MAX:
            self._mistake(f"there are {len(tables)} providers, and {PROVIDERS_MAX} at most", "")
        found = []
        for table in tables[:PROVIDERS_MAX]:
            self._begin_table()
            found.append(self._provider(table))
        for member in ("id", "issuer"):
            values = [getattr(one, member) for one in found]
            for value in sorted({one for one in values if one and values.count(one) > 1}):
                self._mistake(f"two providers have the {member} {value}", value)
        return tuple(found)

    def _begin_table(self) -> None:
        """Look for keys behind the next head of a table, so that a mistake is shown in its own."""
        heads = (
            number
            for number, line in enumerate(self._lines, 1)
            if number > self._from_line and line.replace(" ", "").startswith("[[providers]]")
        )
        self._from_line = next(heads, self._from_line)

    def _mistake(self, text: str, key: str, hint: str = "") -> None:
        for first in (self._from_line, 0):
            for number, line in enumerate(self._lines[first:], first + 1):
                if key and key in line:
                    span = Span(self._file, number, line.index(key) + 1, len(key))
                    self.findings.append(Finding(CODE, text, span, hint, line))
                    return
        self.findings.append(Finding(CODE, text, None, hint))

    def _provider(self, table: dict[str, Any]) -> Provider:
        for key in table:
            if key == "client_secret":
                hint = "write the secret into a file of its own, and name that: client_secret_file"
                self._mistake("a client's secret does not stand in settings", key, hint)
            elif key not in KEYS:
                hint = near(key, KEYS) or f"it has {', '.join(KEYS)}"
                self._mistake(f"a provider has no {key}", key, hint)
        reach = Reach(
            private=self._flag(table, "private_addresses"), loopback=self._flag(table, "loopback")
        )
        return Provider(
            id=self._id(table),
            issuer=self._issuer(table, reach),
            client_id=self._text(table, "client_id", is_needed=True),
            client_secret_file=self._text(table, "client_secret_file"),
            audience=self._text(table, "audience"),
            expected=self._expected(table),
            token_types=self._token_types(table),
            header_members=self._header_members(table),
            algorithms=self._algorithms(table),
            scopes=self._scopes(table),
            resource=self._text(table, "resource"),
            claims=self._claims(table),
            origins=self._origins(table, reach),
            reach=reach,
            authority_file=self._text(table, "authority_file"),
            times=self._times(table),
        )

    def _text(self, table: dict[str, Any], key: str, *, is_needed: bool = False) -> str:
        found = table.get(key, "")
        if not isinstance(found, str) or not found.isprintable():
            self._mistake(f"{key} is a text of one line", key, f'write {key} = "…"')
        elif len(found) > TEXT_CHARACTERS_MAX:
            self._mistake(f"{key} has {TEXT_CHARACTERS_MAX:,} characters at most", key)
        elif is_needed and not found:
            self._mistake(f"{key} is missing", "[[providers]]", f'write {key} = "…"')
        else:
            return found
        return ""

    def _texts(self, table: dict[str, Any], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        found = table.get(key)
        if found is None:
            return default
        if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
            self._mistake(f"{key} is a list of texts", key, f'as in {key} = ["…"]')
        elif len(found) > LISTED_MAX or any(len(one) > TEXT_CHARACTERS_MAX for one in found):
            self._mistake(f"{key} has {LISTED_MAX} texts at most, none of them a page", key)
        else:
            return tuple(dict.fromkeys(found))
        return default

    def _flag(self, table: dict[str, Any], key: str) -> bool:
        found = table.get(key, False)
        if isinstance(found, bool):
            return found
        self._mistake(f"{key} is true or false", key)
        return False

    def _id(self, table: dict[str, Any]) -> ProviderId:
        try:
            return provider_id(str(table.get("id", "")))
        except Invalid as error:
            self._mistake(error.text, "id" if "id" in table else "[[providers]]", error.hint)
            return ProviderId("")

    def _issuer(self, table: dict[str, Any], reach: Reach) -> str:
        found = self._text(table, "issuer", is_needed=True)
        if found and self._is_url(found, "issuer", reach) and "?" in found:
            hint = "write it as the provider's own tokens have it (iss)"
            self._mistake("an issuer has no ? in it", "issuer", hint)
        return found

    def _origins(self, table: dict[str, Any], reach: Reach) -> tuple[str, ...]:
        found = self._texts(table, "origins", ())
        for one in found:
            if self._is_url(one, "origins", reach) and checked_url(one, reach).target != "/":
                hint = "as in https://keys.example.com"
                self._mistake(f"an origin has no path: {one}", "origins", hint)
        return found

    def _is_url(self, text: str, key: str, reach: Reach) -> bool:
        try:
            checked_url(text, reach)
        except Refused as error:
            self._mistake(f"{key}: {error.text}", key, error.hint)
            return False
        return True

    def _algorithms(self, table: dict[str, Any]) -> tuple[str, ...]:
        found = self._texts(table, "algorithms", ALGORITHMS)
        for one in found:
            if one not in list(Algorithm):
                hint = near_or_all(one, list(Algorithm))
                self._mistake(f"no token is checked by {one}", "algorithms", hint)
        if not found:
            self._mistake("algorithms names one at least", "algorithms")
        return found

    def _expected(self, table: dict[str, Any]) -> tuple[tuple[str, str | bool], ...]:
        found = table.get("expected", {})
        if (
            isinstance(found, dict)
            and len(found) <= LISTED_MAX
            and all(
                isinstance(one, bool) or (isinstance(one, str) and one) for one in found.values()
            )
        ):
            return tuple(found.items())
        hint = 'as in expected = { hd = "example.com", email_verified = true }'
        self._mistake("expected is a table of texts, true and false", "expected", hint)
        return ()

    def _token_types(self, table: dict[str, Any]) -> tuple[str, ...]:
        found = tuple(
            one.lower().removeprefix("application/")
            for one in self._texts(table, "token_types", TOKEN_TYPES)
        )
        if not found:
            self._mistake("token_types names one at least", "token_types")
        if set(found) - set(TOKEN_TYPES) and table.get("audience") in (
            None,
            table.get("client_id"),
        ):
            text = "ID tokens have these types, too, and would be taken for access tokens"
            hint = "say which audience access tokens are for: another one than the client's id"
            self._mistake(text, "token_types", hint)
        return found

    def _header_members(self, table: dict[str, Any]) -> tuple[str, ...]:
        found = self._texts(table, "header_members", ())
        for one in found:
            if one in NEVER_MEMBERS:
                self._mistake(f"a token whose header has {one} is never taken", "header_members")
        return found

    def _scopes(self, table: dict[str, Any]) -> tuple[str, ...]:
        found = self._texts(table, "scopes", ("openid",))
        if "openid" not in found or any(" " in one for one in found):
            hint = 'as in scopes = ["openid", "email"]'
            self._mistake("scopes are openid and others, each by itself", "scopes", hint)
        return found

    def _claims(self, table: dict[str, Any]) -> ClaimNames:
        found = table.get("claims", {})
        if not isinstance(found, dict):
            hint = 'as in claims = { groups = "roles" }'
            self._mistake("claims is a table", "claims", hint)
            return ClaimNames()
        for key in found:
            if key not in _CLAIMS:
                hint = near_or_all(key, _CLAIMS)
                self._mistake(f"claims has no {key}", key, hint)
        names = ClaimNames()
        subject = self._text(found, "subject") if "subject" in found else names.subject
        groups = self._text(found, "groups") if "groups" in found else names.groups
        display = self._texts(found, "display", names.display)
        for key, paths in (("subject", (subject,)), ("groups", (groups,)), ("display", display)):
            for path in paths:
                self._check_path(key, path)
        return ClaimNames(subject, groups, display)

    def _check_path(self, key: str, path: str) -> None:
        """Tell of what is no path of a claim; no groups at all are meant by an empty text."""
        if key == "groups" and not path:
            return
        try:
            claim_path(path)
        except Invalid as error:
            self._mistake(f"claims.{key}: {error.text}", key, error.hint)

    def _times(self, table: dict[str, Any]) -> CacheTimes:
        times = CacheTimes(
            self._seconds(table, "keys_fresh", FRESH_S, FRESH_RANGE_S),
            self._seconds(table, "keys_stale", STALE_S, STALE_RANGE_S),
            self._seconds(table, "look_pause", PAUSE_S, PAUSE_RANGE_S),
        )
        if times.stale_s < times.fresh_s:
            hint = "they serve when the provider cannot be asked: it is the longer one"
            self._mistake("keys_stale is shorter than keys_fresh", "keys_stale", hint)
        return times

    def _seconds(
        self, table: dict[str, Any], key: str, default: float, within: tuple[float, float]
    ) -> float:
        if key not in table:
            return default
        try:
            found = parse_duration(str(table[key])) / 1000
        except Invalid as error:
            self._mistake(f"{key}: {error.text}", key, error.hint)
            return default
        if not within[0] <= found <= within[1]:
            low, high = map(format_seconds, within)
            self._mistake(f"{key} is from {low} to {high}", key)
            return default
        return found
