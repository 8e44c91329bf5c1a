"""Bytes from an address or a path, and never more of them than asked for.

1. An address is of `https`; `http` only where the caller says so (`insecure`). Where it redirects to, the same holds.
2. No more than `most` bytes are read, and no fewer than the server announced: half a file is an error.
3. A server that says nothing for `TIMEOUT_S` seconds, or takes longer than `LONGEST_S` in all, is given up.
4. Paths are read as everywhere: regular files only, which are not waited for.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nnmeter import files
from nnmeter.errors import DeviceError

if TYPE_CHECKING:
    import urllib.request

TIMEOUT_S = 30
LONGEST_S = 600
_PART_BYTES = 1 << 16


def is_address(source: str) -> bool:
    """Whether this is an address of the web, of whatever scheme, rather than a path."""
    return "://" in source


def fetch(source: str, most: int, insecure: bool = False) -> bytes:
    """The bytes at an address or in a file.

    Args:
        source: `https://...`, or a path.
        most: bytes that are accepted.
        insecure: whether `http` is accepted.

    Raises:
        DeviceError: it cannot be had whole (rules 1 to 4).
    """
    if is_address(source):
        return _fetch_address(source, most, insecure)
    try:
        return files.read_limited(Path(source), most)
    except OSError as fault:
        raise DeviceError(f"{source}: {fault.strerror or fault}; give the file of a pack or of a registry") from fault


def check_address(address: str, insecure: bool) -> None:
    """Refuse an address that is not to be asked (rule 1).

    Raises:
        DeviceError: its scheme is another, it has no host, or it has a password in it, which messages would show.
    """
    try:
        parts = urlsplit(address)
        host, secret = parts.hostname, parts.password or parts.username
    except ValueError as fault:
        raise DeviceError(f"{address}: is no address ({fault})") from fault
    if parts.scheme == "http" and not insecure:
        raise DeviceError(f"{address}: http shows and lets everybody change what it carries; use https or --insecure")
    if parts.scheme not in ("http", "https"):
        raise DeviceError(f"{address}: packs are fetched by https, not {parts.scheme}; download it and give the path")
    if not host:
        raise DeviceError(f"{address}: has no host; give https://HOST/PATH")
    if secret:
        raise DeviceError(f"{parts.scheme}://{host}: has a user's name in it; keep it out of the address")


def _fetch_address(address: str, most: int, insecure: bool) -> bytes:
    import http.client
    import urllib.error
    import urllib.request

    check_address(address, insecure)
    request = urllib.request.Request(address, headers={"User-Agent": "nnmeter", "Accept-Encoding": "identity"})
    try:
        with _opener(insecure).open(request, timeout=TIMEOUT_S) as response:
            return _read(response, address, most)
    except urllib.error.HTTPError as fault:
        raise DeviceError(f"{address}: the server answers {fault.code} ({fault.reason!s:.80}); look at it") from fault
    except (OSError, http.client.HTTPException, ValueError) as fault:
        if isinstance(fault, DeviceError):
            raise
        reason = getattr(fault, "reason", None) or getattr(fault, "strerror", None) or fault
        raise DeviceError(f"{address}: cannot be fetched ({reason!s:.200}); try again") from fault


def _opener(insecure: bool) -> urllib.request.OpenerDirector:
    """What opens addresses and follows redirects by rule 1; it knows no `file:` and no `ftp:`."""
    import urllib.request

    class CheckedRedirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
            check_address(newurl, insecure)
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        CheckedRedirects,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


def _read(response: Any, address: str, most: int) -> bytes:
    """The body, of the length that was announced and not beyond the limits (rules 2 and 3)."""
    announced = response.headers.get("Content-Length")
    if announced is not None and announced.isdecimal() and int(announced) > most:
        raise DeviceError(f"{address}: has {int(announced):,} bytes, more than the {most:,} that are accepted")
    until = time.monotonic() + LONGEST_S
    parts: list[bytes] = []
    length = 0
    while part := response.read1(_PART_BYTES):
        parts.append(part)
        length += len(part)
        if length > most:
            raise DeviceError(f"{address}: has more than the {most:,} bytes that are accepted")
        if time.monotonic() > until:
            raise DeviceError(f"{address}: takes more than {LONGEST_S} s; try again")
    if announced is not None and announced.isdecimal() and length != int(announced):
        raise DeviceError(f"{address}: ended after {length:,} of {int(announced):,} bytes; try again")
    return b"".join(parts)
