"""How people and programs get tokens of a provider: what is sent, as values. What is answered is read by `flow_answers.py`.

    flow                      requests                                           for
    authorization code        `begin_code_flow`, `read_redirect`, `code_form`    a browser: the console
    device authorization      `device_form`, `device_token_form`                 a terminal: the browser may be on another machine (RFC 8628)
    refresh                   `refresh_form`                                     both, when their tokens end
    client credentials        `client_form`                                      programs that the provider knows

The code flow is OAuth 2.1's: PKCE with S256 (RFC 7636), a state, a nonce, and the issuer that answers is the one that was asked (RFC 9207).  A flow is kept by who
began it until the browser comes back; it is used once.

Nothing here has a clock or chance: random bytes come in.  A client without a secret names itself in the form; one with a secret proves itself in a header, or in
the form where the provider takes nothing else (RFC 6749 §2.3.1).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit

import msgspec

from runink.errors import Forbidden, Refused
from runink.identity.flow_answers import refusal
from runink.identity.providers import SHOWN_CHARACTERS_MAX, Discovery, Provider

ENTROPY_BYTES: Final = 96  # a third each for verifier, state and nonce: 256 bits
QUERY_CHARACTERS_MAX: Final = 8_192
QUERY_FIELDS_MAX: Final = 32
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_BASIC: Final = "client_secret_basic"
_POST: Final = "client_secret_post"
_S256: Final = "S256"
_HIDDEN: Final = "***"


class Form(msgspec.Struct, frozen=True):
    """A form that is sent to an endpoint, and the value of its Authorization header. Neither shows in a `repr`."""

    url: str
    fields: dict[str, str]
    authorization: str = ""

    def __repr__(self) -> str:
        return f"Form({self.url}, {_HIDDEN})"


class CodeFlow(msgspec.Struct, frozen=True):
    """A login that a browser was sent away for: `url` is where to. The ID token that comes of it must bear `nonce`. Nothing secret shows in a `repr`."""

    issuer: str
    redirect_uri: str
    url: str
    state: str
    nonce: str
    verifier: str
    is_issuer_told: bool

    def __repr__(self) -> str:
        return f"CodeFlow({self.issuer}, {_HIDDEN})"


# With a browser.


def begin_code_flow(
    provider: Provider, discovery: Discovery, *, redirect_uri: str, entropy: bytes
) -> CodeFlow:
    """Return where to send a browser, and what to keep until it comes back. Raises Refused (`flow_unsupported`)."""
    assert len(entropy) == ENTROPY_BYTES, "each third is a secret of its own"
    endpoint = _endpoint(provider, discovery.authorization_endpoint, "logins by a browser")
    methods = discovery.code_challenge_methods_supported
    if methods and _S256 not in methods:
        raise _unsupported(provider, "PKCE with S256")
    verifier, state, nonce = (_text(entropy[at : at + 32]) for at in (0, 32, 64))
    fields = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(provider.scopes),
        "state": state,
        "nonce": nonce,
        "code_challenge": _text(hashlib.sha256(verifier.encode()).digest()),
        "code_challenge_method": _S256,
    } | _resource(provider)
    return CodeFlow(
        issuer=provider.issuer,
        redirect_uri=redirect_uri,
        url=_with_query(endpoint, fields),
        state=state,
        nonce=nonce,
        verifier=verifier,
        is_issuer_told=discovery.authorization_response_iss_parameter_supported,
    )


def read_redirect(flow: CodeFlow, query: str) -> str:
    """Return the code that the browser brought back, in the query of the redirect's URL.

    Raises Forbidden (`login_foreign`) where it comes of another login or another provider, and what `refusal` says where the provider refused.
    """
    fields = _fields(query)
    # The state first: of what was not asked for, nothing is told.
    if not hmac.compare_digest(fields.get("state", "").encode(), flow.state.encode()):
        raise _foreign("its state is another")
    issuer = fields.get("iss")
    if issuer != flow.issuer and (flow.is_issuer_told or issuer is not None):
        said = "none" if issuer is None else repr(issuer[:SHOWN_CHARACTERS_MAX])
        raise _foreign(f"it comes from issuer {said}, and {flow.issuer} was asked")
    if "error" in fields:
        raise refusal(fields["error"], fields.get("error_description", ""))
    if not fields.get("code"):
        raise _foreign("it has no code")
    return fields["code"]


def code_form(
    provider: Provider, discovery: Discovery, flow: CodeFlow, *, code: str, secret: str = ""
) -> Form:
    """Return what changes a code into tokens. A code serves once."""
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": flow.redirect_uri,
        "code_verifier": flow.verifier,
    }
    return _token_form(provider, discovery, fields, secret)


def logout_url(
    provider: Provider, discovery: Discovery, *, id_token: str, return_uri: str, state: str
) -> str:
    """Return where a browser ends its session with the provider, and comes back from (RP-initiated logout). Raises Refused (`flow_unsupported`).

    `return_uri` may be empty: then the browser stays there.
    """
    endpoint = _endpoint(provider, discovery.end_session_endpoint, "logouts")
    fields = {"client_id": provider.client_id, "id_token_hint": id_token}
    if return_uri:
        fields |= {"post_logout_redirect_uri": return_uri, "state": state}
    return _with_query(endpoint, fields)


# Without one.


def device_form(provider: Provider, discovery: Discovery, *, secret: str = "") -> Form:
    """Return what begins a login on another device. Raises Refused (`flow_unsupported`)."""
    endpoint = _endpoint(provider, discovery.device_authorization_endpoint, "logins by a code")
    fields = {"scope": " ".join(provider.scopes)} | _resource(provider)
    return _proved(provider, discovery, Form(endpoint, fields), secret)


def device_token_form(
    provider: Provider, discovery: Discovery, *, device_code: str, secret: str = ""
) -> Form:
    """Return what asks whether somebody has logged in meanwhile."""
    fields = {"grant_type": DEVICE_GRANT, "device_code": device_code}
    return _token_form(provider, discovery, fields, secret)


def refresh_form(
    provider: Provider, discovery: Discovery, *, refresh_token: str, secret: str = ""
) -> Form:
    """Return what changes a refresh token into new tokens. It may serve once: keep the one that comes back."""
    fields = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return _token_form(provider, discovery, fields | _resource(provider), secret)


def client_form(
    provider: Provider, discovery: Discovery, *, secret: str, scopes: tuple[str, ...] = ()
) -> Form:
    """Return what gives a program a token of its own."""
    fields = {"grant_type": "client_credentials"} | _resource(provider)
    if scopes:
        fields["scope"] = " ".join(scopes)
    return _token_form(provider, discovery, fields, secret)


def _token_form(
    provider: Provider, discovery: Discovery, fields: dict[str, str], secret: str
) -> Form:
    endpoint = _endpoint(provider, discovery.token_endpoint, "tokens")
    return _proved(provider, discovery, Form(endpoint, fields), secret)


def _proved(provider: Provider, discovery: Discovery, form: Form, secret: str) -> Form:
    """Return the form with what says, and proves, which client sends it."""
    named = form.fields | {"client_id": provider.client_id}
    methods = discovery.token_endpoint_auth_methods_supported
    if not secret:
        return Form(form.url, named)
    if _BASIC in methods:
        pair = f"{quote_plus(provider.client_id)}:{quote_plus(secret)}".encode()
        return Form(form.url, form.fields, f"Basic {base64.b64encode(pair).decode()}")
    if _POST in methods:
        return Form(form.url, named | {"client_secret": secret})
    raise _unsupported(provider, "a client's secret")


def _resource(provider: Provider) -> dict[str, str]:
    return {"resource": provider.resource} if provider.resource else {}


def _fields(query: str) -> dict[str, str]:
    """Return the fields of a redirect's query, each of which stands in it once."""
    if len(query) > QUERY_CHARACTERS_MAX:
        raise _foreign("it is too long")
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS_MAX
        )
    except ValueError:
        raise _foreign("it cannot be read") from None
    if len(dict(pairs)) != len(pairs):
        raise _foreign("a field stands in it twice")
    return dict(pairs)


def _with_query(endpoint: str, fields: dict[str, str]) -> str:
    """Return an endpoint, which may have a query of its own, with these fields."""
    joint = "&" if urlsplit(endpoint).query else "?"
    return f"{endpoint}{joint}{urlencode(fields)}"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _endpoint(provider: Provider, url: str, what: str) -> str:
    if url:
        return url
    raise _unsupported(provider, what)


def _unsupported(provider: Provider, what: str) -> Refused:
    return Refused(
        f"provider {provider.id} has no {what}, as its discovery document says",
        code="flow_unsupported",
    )


def _foreign(why: str) -> Forbidden:
    return Forbidden(
        f"what the browser brought back is not of this login: {why}",
        code="login_foreign",
        hint="begin again, and follow no link that somebody sent",
    )
