"""Providers of identities (OpenID Connect): what is set about each, and what it says about itself.

A provider's settings are a value that holds no secret: of the client's secret only the file is named.  Its discovery document is checked before anything of it is
used (OpenID Connect Discovery 1.0 §4.3, RFC 8414 §3.3):

    issuer                                   equal to the settings', letter by letter
    jwks_uri, token_endpoint,                URLs within the provider's reach, of the issuer's own origin or one that the settings list: what the
    device_authorization_endpoint            cluster itself asks, and sends the client's secret to, nobody else chooses
    authorization_endpoint,                  URLs of the same kind, of any origin: only browsers go there
    end_session_endpoint
    what else stands in it                   is passed over
"""

from __future__ import annotations

from typing import Final

import msgspec

from runink.errors import Refused
from runink.names import ProviderId
from runink.reach import Reach, checked_url

WELL_KNOWN: Final = "/.well-known/openid-configuration"
# ES512, RS384 and RS512 are as sound, but nobody signs with them unless told to: name them where yours does.
ALGORITHMS: Final = ("RS256", "ES256", "ES384")
TOKEN_TYPES: Final = ("at+jwt",)  # RFC 9068
FRESH_S: Final = 300.0
# Longer than any token that people hold is valid: who had one before the provider went away can use it to its end, and keys are of no use to them after it.
STALE_S: Final = 86_400.0
PAUSE_S: Final = 10.0  # a key that is new waits for it at the worst
SHOWN_CHARACTERS_MAX: Final = 200  # of what a provider says


class ClaimNames(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which claims tell who somebody is, as `principal_mapping.claim_path` reads them. `groups` may be empty: none are taken. The first of `display` that is there is shown."""

    subject: str = "sub"
    groups: str = "groups"
    display: tuple[str, ...] = ("email", "preferred_username", "name")


class CacheTimes(msgspec.Struct, frozen=True, omit_defaults=True):
    """How long keys are held for the provider's own, seconds.

    `fresh_s`: this long they are used without another look. `stale_s`: this long they serve when the provider cannot be asked, from when they were fetched.
    `pause_s`: from one look to the next, whatever makes us look; an unknown key, too.
    """

    fresh_s: float = FRESH_S
    stale_s: float = STALE_S
    pause_s: float = PAUSE_S


class Provider(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is set about one provider.

    `audience` is what an access token must be for, the client's id where nothing is said. `expected` are claims and what each must be in every token. `token_types` are the types that its access tokens have (`typ` in their
    header), `header_members` what stands in their header beside what everybody writes there, and means nothing to us. `client_secret_file` is a file of the
    control plane's machines, empty for a client without a secret. `origins` are those beside the issuer's own that its endpoints may have. `resource` is sent when tokens are asked for
    (RFC 8707), where it is said. `authority_file` holds the certificates that its server is checked with in place of the public ones.
    """

    id: ProviderId
    issuer: str
    client_id: str
    client_secret_file: str = ""
    audience: str = ""
    expected: tuple[tuple[str, str | bool], ...] = ()
    token_types: tuple[str, ...] = TOKEN_TYPES
    header_members: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ALGORITHMS
    scopes: tuple[str, ...] = ("openid",)
    resource: str = ""
    claims: ClaimNames = ClaimNames()
    origins: tuple[str, ...] = ()
    reach: Reach = Reach()
    authority_file: str = ""
    times: CacheTimes = CacheTimes()

    @property
    def discovery_url(self) -> str:
        """Return where its discovery document is: beneath the issuer, whose final slash is taken away before."""
        return self.issuer.removesuffix("/") + WELL_KNOWN


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says about itself, as far as it was asked; an endpoint that it has not got is empty. Made by `read_discovery` alone."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    device_authorization_endpoint: str = ""
    end_session_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    code_challenge_methods_supported: tuple[str, ...] = ()
    authorization_response_iss_parameter_supported: bool = False


_OURS: Final = ("jwks_uri", "token_endpoint", "device_authorization_endpoint")
_BROWSERS: Final = ("authorization_endpoint", "end_session_endpoint")
_decode: Final = msgspec.json.Decoder(Discovery).decode


def read_discovery(provider: Provider, document: bytes) -> Discovery:
    """Return what the document says. Raises Refused (`discovery_refused`) with the member that is not as it must be."""
    try:
        found = _decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(provider, f"cannot be read: {error}") from None
    if found.issuer != provider.issuer:
        said = found.issuer[:SHOWN_CHARACTERS_MAX]
        raise _refused(
            provider,
            f"is that of another issuer: {said!r}",
            "the issuer in the settings must be equal to that, also in its final slash",
        )
    origins = {
        checked_url(one, provider.reach).origin for one in (provider.issuer, *provider.origins)
    }
    for member in _OURS + _BROWSERS:
        url = getattr(found, member)
        if not url and member != "jwks_uri":
            continue
        try:
            origin = checked_url(url, provider.reach).origin
        except Refused as error:
            raise _refused(provider, f"has a {member} that is not asked: {error.text}") from None
        if member in _OURS and origin not in origins:
            raise _refused(
                provider,
                f"has its {member} at another origin, {origin}",
                f'if that is right, add it to the provider\'s settings: origins = ["{origin}"]',
            )
    return found


def _refused(provider: Provider, why: str, hint: str = "") -> Refused:
    text = f"the discovery document of provider {provider.id} ({provider.discovery_url}) {why}"
    return Refused(text, code="discovery_refused", hint=hint)
