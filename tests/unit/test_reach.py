"""Which URLs and addresses the cluster's own calls reach."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from runink.errors import Refused
from runink.reach import Reach, checked_url, why_not

PUBLIC = Reach()
PRIVATE = Reach(private=True)
LOOPBACK = Reach(loopback=True)
ALL = Reach(private=True, loopback=True)


@pytest.mark.parametrize(
    ("text", "origin", "authority", "target"),
    [
        ("https://login.example.com", "https://login.example.com:443", "login.example.com", "/"),
        ("https://Login.Example.COM./a?b=c", "https://login.example.com:443", "login.example.com", "/a?b=c"),
        ("https://login.example.com:443/a", "https://login.example.com:443", "login.example.com", "/a"),
        ("https://login.example.com:8443", "https://login.example.com:8443", "login.example.com:8443", "/"),
        ("https://[2606:4700::1]/x", "https://[2606:4700::1]:443", "[2606:4700::1]", "/x"),
    ],
)  # fmt: skip
def test_a_url_is_taken_apart(text: str, origin: str, authority: str, target: str):
    url = checked_url(text, PUBLIC)
    assert (url.origin, url.authority, url.target) == (origin, authority, target)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "login.example.com",
        "//login.example.com/x",
        "http://login.example.com",
        "file:///etc/passwd",
        "ftp://login.example.com",
        "gopher://login.example.com",
        "https://",
        "https:///x",
        "https://user@login.example.com",
        "https://user:password@login.example.com",
        "https://login.example.com#x",
        "https://login.example.com/a#",
        "https://login.example.com/a b",
        "https://login.example.com/a\r\nHost: b",
        "https://login.example.com\\@evil.example",
        "https://login.example.com/a\\b",
        "https://login.example.com:0x50/",
        "https://login.example.com:99999/",
        "https://login..example.com/",
        "https://-x.example.com/",
        "https://ex ample.com/",
        "https://bücher.example/",
        "https://[::1%25lo]/",
        "https://[v1.x]/",
        "https://[1.2.3.4]/",
        "https://login.example.com/" + "x" * 3_000,
    ],
)
def test_what_is_no_url_that_may_be_asked_is_refused_however_wide_the_reach(text: str):
    with pytest.raises(Refused) as caught:
        checked_url(text, ALL)
    assert caught.value.code == "url_refused"


def test_a_password_in_a_url_is_not_shown():
    with pytest.raises(Refused) as caught:
        checked_url("https://ada:horse@login.example.com/x", PUBLIC)
    assert "horse" not in caught.value.text


def test_http_goes_to_loopback_only_and_only_where_that_was_said():
    for text in ("http://127.0.0.1:8080/x", "http://localhost/", "http://[::1]:1/"):
        assert checked_url(text, LOOPBACK).scheme == "http"
        with pytest.raises(Refused):
            checked_url(text, PRIVATE)
    for text in ("http://10.0.0.1/", "http://127.0.0.1.evil.example/", "http://[::2]/"):
        with pytest.raises(Refused):
            checked_url(text, ALL)


NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::2",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "::8.8.8.8",
    "64:ff9b::8.8.8.8",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "4000::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", NEVER)
def test_what_is_nobodys_server_is_never_reached(text: str):
    assert why_not(ip_address(text), ALL, scheme="https")


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd12::1"]
)
def test_private_addresses_are_reached_where_that_was_said(text: str):
    assert why_not(ip_address(text), LOOPBACK, scheme="https") == "it is a private address"
    assert not why_not(ip_address(text), PRIVATE, scheme="https")
    assert why_not(ip_address(text), ALL, scheme="http")


@pytest.mark.parametrize("text", ["127.0.0.1", "127.255.0.1", "::1"])
def test_loopback_is_reached_where_that_was_said(text: str):
    assert why_not(ip_address(text), PRIVATE, scheme="https") == "it is this machine itself"
    assert not why_not(ip_address(text), LOOPBACK, scheme="http")


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1", "2a00::1"])
def test_public_addresses_are_reached_by_https(text: str):
    assert not why_not(ip_address(text), PUBLIC, scheme="https")
    assert why_not(ip_address(text), ALL, scheme="http")
