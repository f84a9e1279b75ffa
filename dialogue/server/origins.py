"""Which web pages may talk to the bot: for CORS, and for WebSockets, which CORS does not cover."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from dialogue.errors import StarfoldError

ANY = "*"


class Origins:
    """The pages' origins, such as `https://shop.example`; `*` stands for all. The server's own pages always may.

    Args:
        allowed: the origins.

    Raises:
        StarfoldError: if one has no scheme or has a path.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        self.allowed = tuple(origin.rstrip("/").lower() for origin in allowed)
        for origin in self.allowed:
            parts = urlsplit(origin)
            if origin != ANY and (not parts.scheme or not parts.netloc or parts.path or parts.query):
                raise StarfoldError(f"{origin!r} is no origin; expected one like https://shop.example, or *")

    def __contains__(self, origin: str) -> bool:
        return ANY in self.allowed or origin.lower() in self.allowed

    def permits(self, origin: str | None, host: str | None) -> bool:
        """Whether a request with these headers may come in. Only browsers send an Origin; without one it may."""
        if origin is None or origin in self:
            return True
        return host is not None and urlsplit(origin.lower()).netloc == host.lower()
