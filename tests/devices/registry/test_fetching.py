"""Addresses: https unless asked otherwise, nowhere else by a redirect, and whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnmeter.devices.registry.fetching import check_address, fetch
from nnmeter.devices.registry.index import INDEX
from nnmeter.errors import DeviceError


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://example.org/a.zip", "use https or --insecure"),
        ("file:///etc/passwd", "not file"),
        ("ftp://example.org/a.zip", "not ftp"),
        ("https:///a.zip", "has no host"),
        ("https://user:secret@example.org/a.zip", "user's name"),
        ("https://[::1/a.zip", "is no address"),
    ],
)
def test_addresses_that_are_not_asked(address: str, said: str) -> None:
    with pytest.raises(DeviceError, match=said) as caught:
        check_address(address, insecure=False)
    assert "secret" not in str(caught.value)


def test_a_file_is_fetched_whole(server: str, registry: Path) -> None:
    assert fetch(f"{server}/{INDEX}", 1 << 20, insecure=True) == (registry / INDEX).read_bytes()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nothing.json", "answers 404"),
        (f"half/{INDEX}", "ended after|cannot be fetched"),
        ("endless/", "more than the 1,048,576 bytes"),
        ("moved/file:///etc/passwd", "not allowed"),
        ("moved/https:///nowhere", "has no host"),
    ],
)
def test_what_a_bad_server_sends_is_refused(server: str, path: str, said: str) -> None:
    with pytest.raises(DeviceError, match=said):
        fetch(f"{server}/{path}", 1 << 20, insecure=True)


def test_a_redirect_is_followed(server: str, registry: Path) -> None:
    assert fetch(f"{server}/moved//{INDEX}", 1 << 20, insecure=True) == (registry / INDEX).read_bytes()


def test_more_than_is_accepted_is_not_read(server: str) -> None:
    with pytest.raises(DeviceError, match="more than the 10 that are accepted"):
        fetch(f"{server}/{INDEX}", 10, insecure=True)


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(DeviceError, match="cannot be fetched"):
        fetch("http://127.0.0.1:1/index.json", 10, insecure=True)
