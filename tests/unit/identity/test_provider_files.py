"""Providers as people write them: what is read, and that every mistake is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from runink.errors import Invalid
from runink.identity.provider_files import KEYS, read_providers
from runink.identity.provider_tokens import access_policy, mapping_of
from runink.identity.providers import STALE_S, CacheTimes, ClaimNames, Provider
from runink.reach import Reach

WHOLE = """
[[providers]]
id = "google"
issuer = "https://accounts.google.com"
client_id = "runink.apps.example"
client_secret_file = "/etc/runink/google.secret"
audience = "https://runink.example"
expected = { hd = "example.com", email_verified = true }
token_types = ["application/AT+jwt", "JWT"]
header_members = ["nonce"]
algorithms = ["RS256"]
scopes = ["openid", "email"]
resource = "https://runink.example"
origins = ["https://www.googleapis.com", "https://oauth2.googleapis.com"]
private_addresses = true
loopback = true
authority_file = "/etc/runink/authority.pem"
keys_fresh = "10m"
keys_stale = "2h"
look_pause = "5s"
claims = { subject = "oid", groups = "roles", display = ["upn"] }

[[providers]]
id = "dex"
issuer = "https://dex.example.com/"
client_id = "runink"
"""


def read(text: str, file: str = "providers.toml") -> tuple[Provider, ...]:
    return read_providers(text, file=file)


def mistakes(text: str, file: str = "providers.toml") -> list[str]:
    with pytest.raises(Invalid) as caught:
        read(text, file)
    assert caught.value.code == "providers_invalid"
    assert all(one.code == "I001" for one in caught.value.findings)
    return [one.text for one in caught.value.findings]


def with_line(line: str) -> str:
    return f'[[providers]]\nid = "x"\nissuer = "https://x.example"\nclient_id = "y"\n{line}\n'


def test_every_field_is_read():
    google, dex = read(WHOLE)
    assert google == Provider(
        id="google",
        issuer="https://accounts.google.com",
        client_id="runink.apps.example",
        client_secret_file="/etc/runink/google.secret",
        audience="https://runink.example",
        expected=(("hd", "example.com"), ("email_verified", True)),
        token_types=("at+jwt", "jwt"),
        header_members=("nonce",),
        algorithms=("RS256",),
        scopes=("openid", "email"),
        resource="https://runink.example",
        claims=ClaimNames("oid", "roles", ("upn",)),
        origins=("https://www.googleapis.com", "https://oauth2.googleapis.com"),
        reach=Reach(private=True, loopback=True),
        authority_file="/etc/runink/authority.pem",
        times=CacheTimes(600, 7_200, 5),
    )
    assert dex.times.stale_s == STALE_S
    assert dex.discovery_url == "https://dex.example.com/.well-known/openid-configuration"


def test_json_says_the_same_as_toml():
    document = {"providers": [{"id": "x", "issuer": "https://x.example", "client_id": "y"}]}
    assert read(json.dumps(document), "providers.json") == read(with_line(""))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('client_secret = "horse"', "a client's secret does not stand in settings"),
        ('isuer = "x"', "a provider has no isuer"),
        ("audience = 1", "audience is a text of one line"),
        ("expected = { hd = 3 }", "expected is a table of texts, true and false"),
        ('expected = { hd = "" }', "expected is a table of texts, true and false"),
        ('expected = ["hd"]', "expected is a table of texts, true and false"),
        ("token_types = []", "token_types names one at least"),
        (
            'token_types = ["JWT"]',
            "ID tokens have these types, too, and would be taken for access tokens",
        ),
        (
            'token_types = ["JWT"]\naudience = "y"',
            "ID tokens have these types, too, and would be taken for access tokens",
        ),
        ('header_members = ["crit"]', "a token whose header has crit is never taken"),
        ('header_members = [""]', "header_members is a list of texts"),
        ('algorithms = ["HS256"]', "no token is checked by HS256"),
        ('algorithms = ["none"]', "no token is checked by none"),
        ("algorithms = []", "algorithms names one at least"),
        ('algorithms = "RS256"', "algorithms is a list of texts"),
        ('scopes = ["email"]', "scopes are openid and others, each by itself"),
        ('scopes = ["openid email"]', "scopes are openid and others, each by itself"),
        ('private_addresses = "yes"', "private_addresses is true or false"),
        ("loopback = 1", "loopback is true or false"),
        ('keys_fresh = "1s"', "keys_fresh is from 10 s to 86,400 s"),
        ('keys_stale = "1m"', "keys_stale is shorter than keys_fresh"),
        ('keys_stale = "30d"', "keys_stale is from 10 s to 604,800 s"),
        ('look_pause = "soon"', "look_pause: 'soon' is not a duration"),
        ('look_pause = "0s"', "look_pause is from 1 s to 60 s"),
        ('claims = "groups"', "claims is a table"),
        ('claims = { group = "x" }', "claims has no group"),
        ('claims = { subject = "" }', "claims.subject: '' is no path of a claim"),
        ('claims = { groups = "a..b" }', "claims.groups: 'a..b' is no path of a claim"),
        ("claims = { display = 3 }", "display is a list of texts"),
        ('resource = "a\\nb"', "resource is a text of one line"),
        ('origins = ["https://keys.example/x"]', "an origin has no path: https://keys.example/x"),
    ],
)
def test_a_mistake_in_a_field_is_told(line: str, told: str):
    assert mistakes(with_line(line)) == [told]


@pytest.mark.parametrize(
    ("issuer", "told"),
    [
        ("http://x.example", "http:// is read and changed"),
        ("https://x.example?a=b", "an issuer has no ? in it"),
        ("https://x.example#a", "it has a fragment"),
        ("ldap://x.example", "only https:// is asked"),
        ("", "issuer is missing"),
    ],
)
def test_an_issuer_is_a_url_of_https_and_nothing_behind_its_path(issuer: str, told: str):
    (found,) = mistakes(with_line("").replace("https://x.example", issuer))
    assert told in found


def test_all_mistakes_are_told_at_once_each_in_its_own_table():
    text = with_line('scopes = ["email"]') + with_line('id2 = "z"\nkeys_fresh = "1s"')
    with pytest.raises(Invalid) as caught:
        read(text)
    found = {one.text: one.span.line for one in caught.value.findings if one.span}
    assert found == {
        "scopes are openid and others, each by itself": 5,
        "a provider has no id2": 10,
        "keys_fresh is from 10 s to 86,400 s": 11,
        "two providers have the id x": 7,
        "two providers have the issuer https://x.example": 8,
    }


def test_what_is_needed_is_missed():
    assert mistakes("[[providers]]") == [
        "'' is not a name of a provider",
        "issuer is missing",
        "client_id is missing",
    ]


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("providers = 3", "p.toml"),
        ("providers = [1]", "p.toml"),
        ("[1, 2]", "p.json"),
        ('{"providers": {}}', "p.json"),
        ("", "p.toml"),
    ],
)
def test_what_holds_no_providers_is_told(text: str, file: str):
    assert mistakes(text, file) == ["providers is a list of tables"]


@pytest.mark.parametrize(
    ("text", "file"),
    [("x", "p.toml"), ("{", "p.json"), ("[" * 100_000, "p.json"), ("x" * (1 << 21), "p.toml")],
)
def test_what_is_no_document_is_refused(text: str, file: str):
    with pytest.raises(Invalid) as caught:
        read(text, file)
    assert caught.value.code == "providers_invalid"


def test_there_are_not_more_providers_than_are_looked_after():
    tables = "".join(
        with_line("").replace('"x"', f'"x{n}"').replace("//x.", f"//x{n}.") for n in range(33)
    )
    assert mistakes(tables) == ["there are 33 providers, and 32 at most"]


def test_a_second_key_at_the_top_is_a_mistake():
    assert mistakes('issuer = "x"\n' + with_line("")) == ["there is no issuer beside providers"]


PAGE = Path(__file__).parents[3] / "docs/single-sign-on.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_of_the_page_is_read(text: str):
    (provider,) = read(text)
    assert access_policy(provider).issuer == provider.issuer
    assert mapping_of(provider).issuer_id == provider.id


def test_the_page_has_each_key_and_no_other():
    table = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(table) == sorted(KEYS)
    assert len(EXAMPLES) == 3
