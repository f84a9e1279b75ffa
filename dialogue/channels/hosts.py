"""Addresses that come with a message: replies go only where the platform has its servers."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from dialogue.channels.base import RefusedError


def check_address(url: str, hosts: Sequence[str], platform: str) -> str:
    """The address itself, if replies may go there.

    Args:
        url: out of a payload.
        hosts: names that may be reached by HTTPS, `.example.org` for all below it; or whole origins such as
            `http://localhost:9000`.
        platform: how the error calls it.

    Raises:
        RefusedError: status 403, if it leads anywhere else.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as problem:
        raise RefusedError(f"{platform}: the address for replies is no URL", 400) from problem
    plain = parts.username is None and parts.password is None and "\\" not in url
    if plain and host and f"{parts.scheme}://{parts.netloc}" in hosts:
        return url
    known = any(host.endswith(name) if name.startswith(".") else host == name for name in hosts)
    if plain and known and parts.scheme == "https" and port in (None, 443):
        return url
    raise RefusedError(f"{platform}: replies do not go to {host or 'an address without a host'!r}", 403)
