"""Takes the pictures in `screenshots/` anew: `python -m tests.browser.pictures`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect, sync_playwright

from dialogue.project import train
from dialogue.report.findings import find
from dialogue.report.single import plots_of, single_page
from dialogue.report.write import write_report
from dialogue.training.evaluate import measure_nlu
from tests.browser.conftest import FLAGS, chromium
from tests.browser.project import SECRETS, TOKEN, write_project
from tests.browser.server import BotServer
from tests.browser.site import Site
from tests.browser.visit import PHONE, Visit

OUT = Path(__file__).parent / "screenshots"
CORNER = {"x": 840, "y": 20, "width": 440, "height": 780}
SHOWN = "open telescope on friday"
ROOT = Path(__file__).parents[2]
MESSAGES = ROOT / "tests" / "conversations" / "development"


def main() -> None:
    os.environ.update(SECRETS)
    with Site() as site, tempfile.TemporaryDirectory() as folder:
        project = write_project(Path(folder) / "bot", site.url)
        train(project, progress=lambda stage, done, total: None)
        bot = BotServer(project, site.url)
        bot.start()
        site.bot = bot.url
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium(), args=[*FLAGS])
                widget(Visit(browser, site, bot), "widget-light.png", clip=CORNER)
                widget(Visit(browser, site, bot, color_scheme="dark"), "widget-dark.png", clip=CORNER)
                widget(Visit(browser, site, bot, viewport=PHONE), "widget-phone.png", lang="ar")
                inspector(Visit(browser, site, bot))
                report(browser, Path(folder))
        finally:
            bot.kill()


def widget(visit: Visit, name: str, clip: Any = None, lang: str = "en") -> None:
    visit.go(f"/?lang={lang}")
    visit.page.evaluate("document.querySelector('main').remove()")
    visit.open()
    visit.say("which planets can we see")
    expect(visit.page.locator(".card")).to_have_count(3)
    visit.say("book a tour")
    expect(visit.page.locator(".buttons .choice")).to_have_count(3)
    visit.page.wait_for_timeout(600)
    visit.page.screenshot(path=OUT / name, clip=clip)
    visit.leave()


def inspector(visit: Visit) -> None:
    visit.go()
    visit.open()
    for number, text in enumerate(("hello", "which planets can we see", SHOWN, "blub"), start=1):
        visit.say(text)
        expect(visit.page.locator(".row.user:not(.waiting)")).to_have_count(number)
    page = visit.tab()
    page.set_viewport_size({"width": 1360, "height": 860})
    page.goto(visit.bot.url + "/inspect")
    page.fill("#token", TOKEN)
    page.keyboard.press("Enter")
    page.locator(".turn", has_text=SHOWN).click()
    page.wait_for_timeout(300)
    page.screenshot(path=OUT / "inspector.png")
    visit.leave()


def report(browser: Browser, folder: Path) -> None:
    """The top of the report on Nova, asked the development messages."""
    sets = {
        "train": ROOT / "data" / "en",
        "test": MESSAGES / "en_in_scope.jsonl",
        "oos": MESSAGES / "en_out_of_scope.jsonl",
    }
    measured = measure_nlu(**sets, project=ROOT, cache=folder)
    found = find(measured, folder)
    plots = plots_of(found)
    page = browser.new_page(viewport={"width": 1180, "height": 1560}, device_scale_factor=0.62)
    page.goto(write_report(folder / "report", single_page(found, plots), plots).as_uri())
    page.screenshot(path=OUT / "report.png")


if __name__ == "__main__":
    main()
