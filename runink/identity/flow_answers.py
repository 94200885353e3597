"""What a provider answers to the requests of `flows.py`: tokens, a code for another device, or why not.

    error of the provider                      is raised as   code                  what to do
    invalid_grant                              Forbidden      login_again           log in again: code, refresh token or device code are used up or too old
    access_denied                              Forbidden      login_denied          somebody said no
    login_required, interaction_required,      Forbidden      login_again
    consent_required, account_selection_required
    expired_token                              Forbidden      login_again
    invalid_client, unauthorized_client        Refused        client_refused        mend the settings: client's id, its secret, its grants
    invalid_scope, invalid_target              Refused        scope_refused         mend the settings: scopes, resource
    invalid_request, unsupported_…,            Refused        login_unsupported     it does not do what we ask
    slow_down, authorization_pending elsewhere
    temporarily_unavailable, server_error,     Unavailable    provider_unavailable  try again later
    status 429 and 500 to 599
    anything else                              Refused        login_refused

While a device is waited for, `authorization_pending` and `slow_down` are outcomes and no errors (RFC 8628 §3.5).  What the provider says to people is shown with
its invisible characters taken out, and cut off.
"""

from __future__ import annotations

from typing import Final

import msgspec

from runink.errors import Forbidden, Refused, RuninkError, Unavailable
from runink.identity.providers import SHOWN_CHARACTERS_MAX

TOKEN_CHARACTERS_MAX: Final = 16_384  # of one; those that we check are half of that
EXPIRES_S_MAX: Final = 400 * 86_400  # what is longer is cut: a number to reckon with
INTERVAL_S: Final = 5.0  # where nothing is said, and what `slow_down` adds (RFC 8628 §3.2, §3.5)
INTERVAL_S_MAX: Final = 60.0
_HIDDEN: Final = "***"

_AGAIN: Final = "log in again"
_CLIENT: Final = "check client_id and client_secret_file of the provider's settings, and which grants it allows this client"
_SCOPE: Final = (
    "check scopes and resource of the provider's settings, and what it allows this client"
)
_UNSUPPORTED: Final = "the provider does not do what is asked: look whether its client is set up for this kind of login"
_LATER: Final = "try again in a while"

_Row = tuple[type[RuninkError], str, str]
_ERRORS: Final[dict[str, _Row]] = {
    "invalid_grant": (Forbidden, "login_again", _AGAIN),
    "expired_token": (Forbidden, "login_again", _AGAIN),
    "login_required": (Forbidden, "login_again", _AGAIN),
    "interaction_required": (Forbidden, "login_again", _AGAIN),
    "consent_required": (Forbidden, "login_again", _AGAIN),
    "account_selection_required": (Forbidden, "login_again", _AGAIN),
    "access_denied": (Forbidden, "login_denied", "log in again, and allow it"),
    "invalid_client": (Refused, "client_refused", _CLIENT),
    "unauthorized_client": (Refused, "client_refused", _CLIENT),
    "invalid_scope": (Refused, "scope_refused", _SCOPE),
    "invalid_target": (Refused, "scope_refused", _SCOPE),
    "invalid_request": (Refused, "login_unsupported", _UNSUPPORTED),
    "unsupported_grant_type": (Refused, "login_unsupported", _UNSUPPORTED),
    "unsupported_response_type": (Refused, "login_unsupported", _UNSUPPORTED),
    "authorization_pending": (Refused, "login_unsupported", _UNSUPPORTED),
    "slow_down": (Refused, "login_unsupported", _UNSUPPORTED),
    "temporarily_unavailable": (Unavailable, "provider_unavailable", _LATER),
    "server_error": (Unavailable, "provider_unavailable", _LATER),
}


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody who has logged in holds; none of them has been checked. Empty is what was not given. `expires_s` is 0 where it was not said. None shows in a `repr`."""

    access_token: str
    id_token: str = ""
    refresh_token: str = ""
    expires_s: int = 0
    scope: str = ""

    def __repr__(self) -> str:
        return f"Tokens({_HIDDEN})"


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A login that somebody ends elsewhere: they go to `uri` and type `user_code`, or to `complete_uri`, which has it in it (empty where there is none)."""

    device_code: str
    user_code: str
    uri: str
    complete_uri: str = ""
    expires_s: int
    interval_s: float = INTERVAL_S

    def __repr__(self) -> str:
        return f"Device({self.user_code}, {_HIDDEN})"


class Pending(msgspec.Struct, frozen=True):
    """Nobody has logged in yet: ask again after `interval_s`."""

    interval_s: float


class _Told(msgspec.Struct):
    """The members of all answers together; each is looked at where it belongs."""

    access_token: str = ""
    token_type: str = ""
    id_token: str = ""
    refresh_token: str = ""
    expires_in: int | float | str | None = None
    scope: str = ""
    error: str = ""
    error_description: str = ""
    device_code: str = ""
    user_code: str = ""
    verification_uri: str = ""
    verification_uri_complete: str = ""
    interval: float | None = None


_decode: Final = msgspec.json.Decoder(_Told).decode


def read_tokens(status: int, body: bytes, *, refresh_token: str = "") -> Tokens:
    """Return the tokens of an answer. `refresh_token` is the one that was changed for them: it stays where no other came (RFC 6749 §6).

    Raises what the table in the module's docstring says.
    """
    return _tokens(_read(status, body), refresh_token)


def read_device(status: int, body: bytes) -> Device:
    """Return the login that was begun. Raises as `read_tokens`."""
    told = _read(status, body)
    expires_s = _seconds(told.expires_in)
    if not (told.device_code and told.user_code and told.verification_uri and expires_s):
        raise _unreadable("a part of it is missing")
    uris = (told.verification_uri, told.verification_uri_complete)
    if not all(_may_be_shown(one) for one in (told.user_code, *uris)):
        raise _unreadable("it has characters that cannot be shown")
    if not all(one.startswith(("https://", "http://")) for one in uris if one):
        raise _unreadable("where to log in is no address of the web")
    return Device(
        device_code=told.device_code,
        user_code=told.user_code,
        uri=told.verification_uri,
        complete_uri=told.verification_uri_complete,
        expires_s=expires_s,
        interval_s=_interval_s(told.interval),
    )


def read_device_tokens(status: int, body: bytes, *, interval_s: float) -> Tokens | Pending:
    """Return the tokens, or that nobody has logged in yet; `interval_s` is what was waited before this. Raises as `read_tokens`."""
    told = _told(body)
    if status == 400 and told.error == "authorization_pending":
        return Pending(interval_s)
    if status == 400 and told.error == "slow_down":
        return Pending(min(interval_s + INTERVAL_S, INTERVAL_S_MAX))
    return _tokens(_read(status, body), "")


def refusal(error: str, description: str) -> RuninkError:
    """Return the error that a provider's error is for us."""
    kind, code, hint = _ERRORS.get(error, (Refused, "login_refused", _AGAIN))
    said = _shown(description)
    return kind(
        f"the provider refuses: {_shown(error)}{f' ({said})' if said else ''}", code=code, hint=hint
    )


def _read(status: int, body: bytes) -> _Told:
    """Return what an answer that is none of an error says."""
    if status == 429 or status >= 500:
        raise Unavailable(
            f"the provider answers with status {status}", code="provider_unavailable", hint=_LATER
        )
    told = _told(body)
    if told.error:
        raise refusal(told.error, told.error_description)
    if status != 200:
        raise _unreadable(f"its status is {status}, and it says no error")
    return told


def _told(body: bytes) -> _Told:
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # What it says of the body may quote it, and tokens stand there.
        kind = type(error).__name__
        raise _unreadable(f"it is not what OAuth 2.0 says ({kind})") from None


def _tokens(told: _Told, refresh_token: str) -> Tokens:
    if not told.access_token or told.token_type.lower() != "bearer":
        raise _unreadable("there is no bearer token in it")
    tokens = Tokens(
        access_token=told.access_token,
        id_token=told.id_token,
        refresh_token=told.refresh_token or refresh_token,
        expires_s=_seconds(told.expires_in),
        scope=told.scope,
    )
    for one in (tokens.access_token, tokens.id_token, tokens.refresh_token):
        if len(one) > TOKEN_CHARACTERS_MAX or not (one.isascii() and _may_be_shown(one)):
            raise _unreadable("a token is too long, or has characters that a token has not")
    return tokens


def _seconds(told: float | str | None) -> int:
    """Return how long something lasts, seconds, 0 where that is not said. Some providers write the number as a text."""
    if isinstance(told, str):
        told = int(told) if told.isascii() and told.isdigit() and len(told) < 16 else None
    if told is None or told <= 0:
        return 0
    return int(min(told, EXPIRES_S_MAX))


def _interval_s(told: float | None) -> float:
    if told is None or told <= 0:
        return INTERVAL_S
    return min(max(told, 1.0), INTERVAL_S_MAX)


def _may_be_shown(text: str) -> bool:
    return text.isprintable() and " " not in text


def _shown(text: str) -> str:
    return "".join(one for one in text if one.isprintable())[:SHOWN_CHARACTERS_MAX]


def _unreadable(why: str) -> Unavailable:
    return Unavailable(
        f"the provider answers what cannot be read: {why}", code="provider_unavailable", hint=_LATER
    )
