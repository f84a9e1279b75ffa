"""The documentation against the code: every option, command and extra is in it, and its snippets run."""

from __future__ import annotations

import importlib
import inspect
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml
from pydantic import BaseModel

from dialogue.actions.base import ActionRequest
from dialogue.actions.local import LocalActions
from dialogue.actions.respond import Responder
from dialogue.catalog import BUILT_IN as CHANNELS
from dialogue.catalog import maker, parameters
from dialogue.channels.slash import COMMANDS
from dialogue.cli import app
from dialogue.commands.frame import INTERRUPTED, PIPE_CLOSED
from dialogue.config import Config, default_encoders
from dialogue.config_file import load_config
from dialogue.domain import Domain
from dialogue.errors import StarfoldError
from dialogue.plugins import build_encoders, build_policies, make_channels
from dialogue.sections import Actions, Duckling, Server
from dialogue.tracker import Tracker
from encoders.catalog import BUILT_IN as ENCODERS
from encoders.catalog import resolve as encoder_class
from policies.catalog import BUILT_IN as POLICIES
from policies.catalog import resolve as policy_class
from policies.types import Decision, Kind
from tests.dialogue.desk import make_bot

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BOT_YML = (ROOT / "bot.yml").read_text(encoding="utf-8")
GUIDES = (
    "README.md",
    "dialogue/README.md",
    "dialogue/channels/static/README.md",
    "dialogue/server/README.md",
    "dialogue/channels/README.md",
    "encoders/README.md",
    "policies/README.md",
    "data/README.md",
)
STATIC = ROOT / "dialogue" / "channels" / "static"
PLUG_INS = (("encoders/README.md", "shapes"), ("policies/README.md", "desk.patience"))
OWN = {"name", "data", "actions"}  # what the example bot sets for itself
MENTIONED_ONLY = {"threshold", "target_error"}  # excludes the costs that stand there


def blocks(guide: str, language: str) -> list[str]:
    """Fenced blocks of a guide in one language."""
    text = (ROOT / guide).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def files(guide: str, language: str = "python") -> dict[str, str]:
    """Blocks whose first line, a comment, names their file."""
    return {block.partition("\n")[0].removeprefix("# "): block for block in blocks(guide, language)}


def lay(guide: str, folder: Path) -> None:
    for name, text in (files(guide) | files(guide, "yaml")).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


# --- README.md --------------------------------------------------------------------------------------------------------


def test_two_lines_set_everything_up():
    talk, work, _ = blocks("README.md", "sh")
    assert talk.count("\n") == work.count("\n") == 1
    assert talk.strip().endswith(" && .venv/bin/starfold chat")
    assert work.strip().endswith(" && .venv/bin/pytest")
    assert '-e ".[dev]"' in work


def commands(group: click.Command, path: str = "starfold") -> Iterator[tuple[str, click.Command]]:
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{path} {name}")


def all_commands() -> dict[str, click.Command]:
    return dict(commands(typer.main.get_command(app)))


def test_every_command_and_option_is_in_the_readme():
    for path, command in all_commands().items():
        assert path in README
        for parameter in command.params:
            names = [*parameter.opts, *parameter.secondary_opts] if isinstance(parameter, click.Option) else []
            for name in names:
                assert re.search(rf"`(starfold )?{name}\b", README), f"{path} {name}"


def test_the_readme_names_no_option_there_is_not():
    known = {name for command in all_commands().values() for parameter in command.params for name in parameter.opts}
    table = README.partition("## Commands")[2].partition("## Extras")[0]
    assert set(re.findall(r"`(?:starfold )?(--?[a-z0-9-]+)", table)) - known <= {"--help", "-h"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_slash_command_is_in_the_readme(name):
    assert f"`/{name} {COMMANDS[name].argument}".rstrip() + "`" in README


def subclasses(kind: type) -> Iterator[type]:
    yield kind
    for below in kind.__subclasses__():
        yield from subclasses(below)


def test_every_exit_code_is_in_the_readme():
    codes = {kind.exit_code for kind in subclasses(StarfoldError)} | {0, 2, INTERRUPTED, PIPE_CLOSED}
    table = README.partition("| exit code |")[2].partition("## ")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == codes


def test_every_extra_has_its_sentence():
    section = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]\n")[2]
    extras = set(re.findall(r"^(\w+) = \[", section.partition("\n[")[0], re.MULTILINE))
    told = set(re.findall(r"^\| `starfold\[(\w+)\]` \| .+ \|$", README, re.MULTILINE))
    assert "postgres" in extras
    assert told == extras


@pytest.mark.parametrize("guide", GUIDES)
def test_links_lead_somewhere(guide):
    text = (ROOT / guide).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target]
    missing = [target for target in targets if not ((ROOT / guide).parent / target.partition("#")[0]).exists()]
    assert missing == []


# --- the widget -------------------------------------------------------------------------------------------------------


def dashed(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", name)


def test_every_attribute_of_the_script_tag_is_in_the_readme():
    read = {dashed(name) for name in re.findall(r"\bdata\.(\w+)", (STATIC / "widget.js").read_text())}
    told = set(re.findall(r"^\| `data-([\w-]+)` \|", README, re.MULTILINE))
    assert {"title", "greeting-delay", "identity"} <= read
    assert told == read


def test_every_variable_method_and_event_of_the_widget_is_in_the_readme():
    section = README.partition("## Put it on a page")[2].partition("\n## ")[0]
    files = [STATIC / "widget.js", *(STATIC / "widget").iterdir()]
    sources = "".join(file.read_text() for file in files)
    variables = set(re.findall(r"var\(--starfold-([\w-]+)", sources))
    events = set(
        re.findall(r"emit\(\"(\w+)\"", (STATIC / "widget.js").read_text() + (STATIC / "widget/chat.js").read_text())
    )
    methods = set(
        re.findall(r"^    (\w+)(?:: \(|\(name)", sources.partition("window.starfold = ")[2].partition("});")[0], re.M)
    )
    assert len(variables) > 10
    assert len(events) > 5
    assert methods == {"open", "close", "send", "identify", "reset", "on"}
    missing = {name for name in variables | events if f"`{name}`" not in section}
    assert missing | {name for name in methods if f"{name}(" not in section} == set()


# --- bot.yml ----------------------------------------------------------------------------------------------------------


def schema_keys(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        yield (*path, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from schema_keys(field.annotation, (*path, name))


def at(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


@pytest.fixture
def reference() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(BOT_YML)
    return found


@pytest.mark.parametrize("path", list(schema_keys(Config)), ids=".".join)
def test_every_option_of_the_schema_stands_in_bot_yml(path, reference):
    at(reference, path)


def defaults(kind: type) -> dict[str, Any]:
    """Options of a constructor and their defaults."""
    found = inspect.signature(kind).parameters.values()
    return {parameter.name: parameter.default for parameter in found}


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("name", ENCODERS)
def test_every_option_of_an_encoder_stands_in_bot_yml_with_its_default(name, reference):
    if name == "use":  # where the language is English it stands in a comment, and it has no options
        assert "#   type: use\n" in BOT_YML
        assert not defaults(encoder_class(name))
        return
    (written,) = (part for part in reference["encoders"].values() if part["type"] == name)
    known = {option: plain(default) for option, default in defaults(encoder_class(name)).items()}
    assert {option: value for option, value in written.items() if option != "type"} == known


@pytest.mark.parametrize("name", POLICIES)
def test_every_option_of_a_policy_stands_in_bot_yml_with_its_default(name, reference):
    (written,) = (part for part in reference["policies"] if part["type"] == name)
    known = defaults(policy_class(name))
    section = BOT_YML.partition("\npolicies:")[2].partition("\nstore:")[0]
    for option in known.keys() - written.keys() - {"name"}:
        assert re.search(rf"`{option}: [^`]+`", section), f"{name}: {option}"
    built = policy_class(name)(**{option: value for option, value in written.items() if option != "type"})
    assert vars(built) == vars(policy_class(name)())


def test_what_bot_yml_says_is_the_default():
    config, default = load_config(ROOT), Config()
    assert config.model_dump(exclude=OWN | {"encoders", "policies"}) == default.model_dump(
        exclude=OWN | {"encoders", "policies"}
    )
    assert {name: part.type for name, part in config.encoders.items()} == {
        name: part.type for name, part in default.encoders.items()
    }
    assert [part.type for part in config.policies] == [part.type for part in default.policies]


def test_what_bot_yml_says_in_its_comments_is_the_default():
    for name in OWN:
        (told,) = re.findall(rf"^{name}:.*\(default(?:: (.+?))?\)$", BOT_YML, re.MULTILINE)
        value = getattr(Config(), name)
        assert yaml.safe_load(told) == value if told else value is None, name


def test_every_option_of_a_server_stands_in_the_comment_with_its_default():
    section = BOT_YML.partition("\nactions:")[2].partition("\nduckling:")[0]
    told = {name: yaml.safe_load(value) for name, value in re.findall(r"`(\w+): ([^`]+)`", section)}
    fields = {name: field.default for name, field in Actions.model_fields.items()}
    assert fields.keys() - told.keys() == {"file", "url"}
    assert fields == told | {"file": None, "url": None}
    assert Server.model_fields.keys() == fields.keys() - {"file", "selective_domain"}


def test_every_option_of_duckling_stands_in_the_comment_with_its_default():
    section = BOT_YML.partition("\nduckling:")[2].partition("\nencoders:")[0]
    told = {name: yaml.safe_load(value) for name, value in re.findall(r"`(\w+): ([^`]+)`", section)}
    own = {name: field.default for name, field in Duckling.model_fields.items() if name not in Server.model_fields}
    assert own | {"timeout": Duckling.model_fields["timeout"].default} == told


def test_numbers_in_comments_are_the_defaults():
    section = BOT_YML.partition("\npolicies:")[2].partition("\nstore:")[0]
    told = {name: yaml.safe_load(value) for name, value in re.findall(r"`(\w+): ([^`]+)`", section)}
    known = defaults(policy_class("confidence"))
    assert {name: known[name] for name in told.keys() - MENTIONED_ONLY} == {
        name: value for name, value in told.items() if name not in MENTIONED_ONLY
    }
    assert told.keys() >= MENTIONED_ONLY


@pytest.mark.parametrize("name", CHANNELS)
def test_every_option_of_a_channel_stands_in_its_table_with_its_default(name):
    guide = (ROOT / "dialogue/channels/README.md").read_text(encoding="utf-8")
    table = guide.partition(f"| option of `{name}` |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (?:`([^`]*)`)? ?\| .+ \|$", table, re.MULTILINE)
    told = {option: yaml.safe_load(default) if default else inspect.Parameter.empty for option, default in rows}
    known = {option: plain(one.default) for option, one in parameters(maker(name)).items()}
    assert told == known
    assert name in BOT_YML.partition("\nchannels:")[0].rpartition("\n\n")[2]


# --- snippets ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules can be imported, and are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("guide", "module"),
    [
        ("dialogue/channels/README.md", "postcards"),
        ("encoders/README.md", "shapes"),
        ("policies/README.md", "desk.patience"),
    ],
)
def test_the_plug_in_of_a_guide_passes_its_own_test(guide, module, project):
    lay(guide, project)
    name = f"test_{module.rpartition('.')[2]}"
    test = getattr(importlib.import_module(name), name)
    test(project) if inspect.signature(test).parameters else test()


@pytest.mark.parametrize("guide", ["README.md", "encoders/README.md", "policies/README.md"])
def test_the_bot_yml_of_a_guide_is_taken(guide, project):
    lay(guide, project)
    (project / "data").mkdir()
    config = load_config(project)
    written: Mapping[str, Any] = yaml.safe_load(files(guide, "yaml")["bot.yml"])
    assert len(build_encoders(config)) == len(written.get("encoders", default_encoders("en")))
    assert len(build_policies(config)) == len(written.get("policies", POLICIES))


@pytest.mark.parametrize(
    ("guide", "module"), [("encoders/README.md", "shapes"), ("policies/README.md", "desk.patience")]
)
def test_the_command_finds_a_plug_in_as_the_guide_says(guide, module, tmp_path):
    lay(guide, tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "nlu.yml").write_text(
        'version: "3.1"\nintents: [greet, bye]\nnlu:\n'
        "- {intent: greet, examples: [hello, good morning]}\n- {intent: bye, examples: [bye, see you]}\n"
    )
    assert "`PYTHONPATH=. starfold chat`" in (ROOT / guide).read_text()
    assert validate(tmp_path).returncode == 0
    (tmp_path / f"{module.replace('.', '/')}.py").unlink()
    refused = validate(tmp_path)
    assert refused.returncode == 3
    assert module in refused.stderr


def validate(folder: Path) -> subprocess.CompletedProcess[str]:
    """`PYTHONPATH=. starfold validate` in a folder."""
    program = "import sys; sys.path.remove(''); from dialogue.cli import main; main()"
    command = [sys.executable, "-c", program, "validate"]
    here = {"PYTHONPATH": f".:{ROOT}"}
    return subprocess.run(command, cwd=folder, env=here, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("sky", "stars"), [("dark", 4500), ("city", 20)])
def test_the_action_of_the_readme_runs(sky, stars, project):
    lay("README.md", project)
    actions = LocalActions(project / "actions.py", Responder(random.Random(0)))
    assert actions.names == ("action_count_stars",)
    decision = Decision(Kind.ACT, "action_count_stars", 1.0, "rules", "it is asked for")
    tracker = Tracker("ada", {"sky": sky, "stars": None})
    result = actions.run(ActionRequest("action_count_stars", tracker, Domain(), decision))
    assert [reply.text for reply in result.replies] == [f"About {stars} stars can be seen."]
    assert [(event.name, event.value) for event in result.events] == [("stars", stars)]


def test_the_channel_of_the_readme_answers(project):
    lay("README.md", project)
    answer = importlib.import_module("postcard").answer
    bot = make_bot()
    assert list(answer(bot, "ada", "greet")) == ["Hello!"]
    assert "\n  - Please do" in "".join(answer(bot, "ada", "weather"))


def test_the_channels_of_the_guide_are_taken(project, monkeypatch):
    guide = "dialogue/channels/README.md"
    lay(guide, project)
    for name in re.findall(r"\$\{(\w+)\}", files(guide, "yaml")["bot.yml"]):
        monkeypatch.setenv(name, "s3cret")
    (project / "data").mkdir()
    assert list(make_channels(load_config(project))) == ["telegram", "slack"]


def test_every_snippet_is_run_by_a_test_here():
    found = {(guide, name) for guide in GUIDES for language in ("python", "yaml") for name in files(guide, language)}
    assert found == {
        ("README.md", "actions.py"),
        ("README.md", "postcard.py"),
        ("README.md", "bot.yml"),
        *(("dialogue/channels/README.md", name) for name in ("bot.yml", "postcards.py", "test_postcards.py")),
        *(("encoders/README.md", name) for name in ("shapes.py", "test_shapes.py", "bot.yml")),
        *(("policies/README.md", name) for name in ("desk/patience.py", "test_patience.py", "bot.yml")),
    }
