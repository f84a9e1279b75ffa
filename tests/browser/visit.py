"""A visitor in the browser: opens pages, talks to the widget, and notes what a visitor should never cause."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from tests.browser.server import BotServer
from tests.browser.site import Site

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
# What the browser logs when a server is away: wanted in tests that take it away.
AWAY = ("ERR_CONNECTION", "WebSocket connection", "ERR_INTERNET_DISCONNECTED", "Failed to load resource")


class Visit:
    """One browser profile.

    Attributes:
        requests: addresses asked for.
        complaints: of the console, and errors of scripts.
        dialogs: what a script that must not run would show.
        away: whether servers may be unreachable.
    """

    def __init__(self, browser: Any, site: Site, bot: BotServer, **options: Any) -> None:
        self.site = site
        self.bot = bot
        self.context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **options})
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        self.away = False
        self.page = self.tab()

    def tab(self) -> Any:
        """Another page of the same visitor."""
        page = self.context.new_page()
        page.set_default_timeout(15_000)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dialog)
        return page

    def leave(self) -> None:
        self.context.close()

    def go(self, path: str = "/", **options: str) -> None:
        """Open a page of the site, the script tag with these attributes besides the usual ones."""
        self.site.options = {"title": "Nova", **options}
        self.page.goto(self.site.url + path)

    def open(self) -> None:
        self.page.locator(".launcher").click()
        panel = self.page.locator(".panel")
        panel.wait_for()
        panel.evaluate("one => Promise.all(one.getAnimations().map(moving => moving.finished))")

    def say(self, text: str) -> None:
        self.page.locator("textarea").fill(text)
        self.page.keyboard.press("Enter")

    def show(self, **said: Any) -> None:
        """Have the bot say something in whatever shape, through the page's API."""
        self.page.evaluate("text => window.starfold.send(text, {title: 'show me'})", f"/say{json.dumps(said)}")

    def replies(self) -> list[str]:
        return list(self.page.locator(".row.bot .bubble").all_inner_texts())

    def said(self) -> list[str]:
        return list(self.page.locator(".row.user:not(.waiting) .bubble").all_inner_texts())

    def hears(self, text: str, count: int = 1) -> None:
        """Wait until so many replies are exactly this."""
        from playwright.sync_api import expect

        bubbles = self.page.locator(".row.bot .bubble").get_by_text(text, exact=True)
        expect(bubbles).to_have_count(count, timeout=30_000)

    def paths(self, origin: str) -> list[str]:
        """What was asked for at a server."""
        return [urlsplit(url).path for url in self.requests if url.startswith(origin)]

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning") and not (self.away and any(sign in message.text for sign in AWAY)):
            self.complaints.append(message.text)

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()
