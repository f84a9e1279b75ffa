"""The command `starfold run`, its options, and what the server does of its own accord."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import urllib.request

import httpx
import pytest

from dialogue.config_file import load_config
from dialogue.errors import ProjectError, StarfoldError
from dialogue.events import SlotSet
from dialogue.sections import Rates, Serving
from dialogue.server.chores import forget_old
from dialogue.server.serve import with_options
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.servers import free_port
from tests.dialogue.small import command, write_small
from tests.server.web import make_service

PATIENCE = 120
SAY = "/api/conversations/ann/messages"


def test_run_trains_serves_and_ends_with_sigterm(tmp_path):
    project, port = write_small(tmp_path / "bot"), free_port()
    process = command("run", "-p", project, "--port", str(port), "--cors", "https://shop.example")
    try:
        told = process.stdout.readline().decode()
        assert told.startswith("API token, until this server ends: ")
        base, headers = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {told.split()[-1]}"}
        until = time.monotonic() + PATIENCE
        while True:
            assert process.poll() is None, process.stderr.read().decode()
            try:
                with urllib.request.urlopen(f"{base}/health/ready", timeout=5):
                    break
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.1)
        answer = httpx.post(base + SAY, json={"text": "hello"}, headers=headers, timeout=30)
        assert answer.json()["replies"] == [{"text": "Hello!"}]
        assert "understand" not in answer.text
        origin = {"Origin": "https://shop.example"}
        assert httpx.post(f"{base}/api/session", headers=origin).headers["access-control-allow-origin"]
        again = command("run", "-p", project, "--port", str(port), "--auth-token", "t")
        _, log = again.communicate(timeout=PATIENCE)
        assert again.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in log.decode()
        assert "Traceback" not in log.decode()
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode in (0, -signal.SIGTERM)
    lines = [json.loads(line) for line in log.decode().splitlines()]
    assert any(line["message"] == "Application shutdown complete." for line in lines)


def with_server(folder, section):
    """A small project with a section `server`."""
    project = write_small(folder)
    with (project / "bot.yml").open("a") as file:
        file.write(f"server: {section}\n")
    return project


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("events: {url: 'kafka://a:b@h:1?mechanism=SCRAM-SHA-257'}", "did you mean 'SCRAM-SHA-256'"),
        ("origins: [shop.example]", "shop.example"),
    ],
)
def test_what_cannot_be_served_is_told_before_the_training(section, said, tmp_path):
    project = with_server(tmp_path / "bot", f"{{{section}}}")
    process = command("run", "-p", project, "--port", str(free_port()))
    _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert said in log.decode()
    assert not load_config(project).model_path.exists()


def test_the_command_line_wins_over_bot_yml():
    written = Serving(port=80, origins=["https://a.example"], rates=Rates(sender=None))
    said = with_options(written, {"port": 81, "origins": [], "host": None, "tokens": ["t"]})
    assert (said.port, said.origins, said.host, said.tokens) == (81, ["https://a.example"], "127.0.0.1", ["t"])
    assert said.rates.sender is None
    with pytest.raises(StarfoldError, match=r"server\.jwt_method: Input should be 'HS256' or 'RS256'"):
        with_options(written, {"jwt_method": "none"})


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("{tokens: [hunter2]}", "server.tokens: a secret stands in the environment"),
        ("{jwt_secret: hunter2}", "server.jwt_secret: a secret stands in the environment"),
        ("{visitor_secret: '${SHORT:too-short}'}", "at least 32 characters"),
        ("{rates: {sender: often}}", "server.rates.sender"),
        ("{prot: 80}", "did you mean 'port'?"),
        ("{public_url: bot.example}", "server.public_url"),
    ],
)
def test_a_wrong_section_is_refused_with_its_place(tmp_path, section, problem):
    project = with_server(tmp_path / "bot", section)
    with pytest.raises(ProjectError) as refused:
        load_config(project)
    assert problem in str(refused.value)
    assert "bot.yml:7:" in str(refused.value)


def test_a_secret_comes_from_the_environment(tmp_path, monkeypatch):
    project = write_small(tmp_path / "bot")
    with (project / "bot.yml").open("a") as file:
        file.write('server: {tokens: ["${BOT_TOKEN}"]}\n')
    monkeypatch.setenv("BOT_TOKEN", "hunter2")
    assert load_config(project).server.tokens == ["hunter2"]


def test_conversations_that_rest_are_forgotten():
    async def tidied():
        store = SqlTrackerStore("sqlite://")
        for number in range(250):
            store.append(f"old {number}", None, [SlotSet("x", 1, timestamp=1000.0)])
        store.append("new", None, [SlotSet("x", 1, timestamp=3000.0)])
        service = make_service(store)
        forgotten = await forget_old(service, 2000.0)
        left = store.conversations()
        await service.close()
        return forgotten, left

    assert asyncio.run(tidied()) == (250, ["new"])
