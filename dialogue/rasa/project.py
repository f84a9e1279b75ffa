"""A Rasa 3 project as a whole: which files it has, and what bot.yml would say the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dialogue.config import default_encoders
from dialogue.errors import ProjectError, suggestion
from dialogue.rasa.credentials import Credentials, read_credentials
from dialogue.rasa.endpoints import Endpoints, read_endpoints
from dialogue.rasa.files import NOTHING, Named, data_places, rows_of_files
from dialogue.rasa.found import Row, listing, scalar, table
from dialogue.rasa.pipeline import read_pipeline
from dialogue.rasa.policies import read_policies
from dialogue.training.nodes import Entry, Node, Report, Scalar, Table, is_empty, plain, read_text
from dialogue.training.places import substitute
from dialogue.training.yaml import read_yaml

BOT = "bot.yml"
CONFIG, ENDPOINTS, CREDENTIALS = "config.yml", "endpoints.yml", "credentials.yml"
KEYS = ("recipe", "assistant_id", "language", "pipeline", "policies", "importers", "imports", "spaces", "version")
PLACEHOLDER = "placeholder_default"  # what `rasa init` writes for a name
LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]+)*")
SPACY = re.compile(r"([a-z]{2,3})_(core|dep|ent|sent)_\w+")  # spaCy's models are named by their language first


@dataclass(frozen=True, slots=True)
class Translation:
    """A Rasa project in the words of bot.yml.

    Attributes:
        tree: what bot.yml would hold; every value has its place in the project's own files.
        rows: what became of each part of the project.
    """

    tree: Table
    rows: tuple[Row, ...]


def is_rasa_project(project: Path) -> bool:
    """Whether there is a config.yml, and training data or a domain."""
    return (project / CONFIG).is_file() and bool(data_places(project))


def rows_of(project: Path) -> tuple[Row, ...]:
    """What becomes of each part of a project; nothing for one with a bot.yml, or whose files cannot be read."""
    if (project / BOT).exists() or not is_rasa_project(project):
        return ()
    try:
        return translate(project, Report()).rows
    except ProjectError:
        return ()


def translate(project: Path, report: Report, *, fill: bool = True, named: Named = NOTHING) -> Translation:
    """Read config.yml, endpoints.yml and credentials.yml.

    Args:
        project: the folder they are in.
        report: gets what is wrong with them.
        fill: whether `${NAME}` in endpoints.yml and credentials.yml is replaced by the environment's value, or left for
            bot.yml to name.
        named: where training data and domain are, if somebody says so.

    Raises:
        ProjectError: if one of the first two is no YAML at all.
    """
    config = substitute(read_yaml(project / CONFIG, report), report)
    ends, channels = Endpoints(), Credentials()
    if (project / ENDPOINTS).is_file():
        ends = read_endpoints(read_yaml(project / ENDPOINTS, report), report, fill=fill)
    if (project / CREDENTIALS).is_file():
        channels = _channels(project / CREDENTIALS, fill)
    places = data_places(project, named)
    return _joined(config, places, rows_of_files(project, places, named), ends, channels, report)


def _channels(credentials: Path, fill: bool) -> Credentials:
    """What credentials.yml says. The bot can be talked to without it, so what is wrong with it stops nothing."""
    try:
        return read_credentials(read_yaml(credentials, Report()), fill=fill)
    except ProjectError as unreadable:
        return Credentials([Row(one.where, CREDENTIALS, "", one.message, True) for one in unreadable.problems])


def _joined(
    config: Table, places: list[str], files: Iterable[Row], ends: Endpoints, channels: Credentials, report: Report
) -> Translation:
    rows = [*files, *_other_keys(config)]
    language = _language(config, rows, report)
    pipeline = read_pipeline(_section(config, "pipeline"), report)
    policies, policy_rows = read_policies(_section(config, "policies"), pipeline.gate, report)
    top = config.where
    encoders = {name: table(top, {**part}) for name, part in default_encoders(plain(language)).items()}
    encoders["words"] = table(top, {"type": "onehot", **pipeline.words})
    parts: dict[str, Node | None] = {
        "version": scalar(top, "1"),
        "name": _name(config, report),
        "language": language,
        "data": listing(top, [scalar(top, place) for place in places]),
        "actions": ends.actions,
        "nlg": ends.nlg,
        "duckling": None if pipeline.duckling is None else table(top, pipeline.duckling),
        "encoders": table(top, encoders),
        "policies": policies,
        "channels": table(top, channels.channels) if channels.channels else None,
        "store": ends.store,
        "server": None if ends.events is None else table(top, {"events": ends.events}),
    }
    entries = {
        key: Entry(config.entries[key].where if key in config.entries else node.where, node)
        for key, node in parts.items()
        if node is not None
    }
    return Translation(Table(top, entries), (*rows, *pipeline.rows, *policy_rows, *ends.rows, *channels.rows))


def _section(config: Table, key: str) -> Node:
    """What stands under a key; a key that is not there is an empty one at the top of the file."""
    return config.entries[key].value if key in config.entries else Scalar(config.where, None, "")


def _name(config: Table, report: Report) -> Node | None:
    node = _section(config, "assistant_id")
    if is_empty(node) or plain(node) == PLACEHOLDER:
        return None
    if isinstance(node, Scalar) and not isinstance(node.value, str):
        return scalar(node.where, node.text)
    name = read_text(node, "assistant_id", report)
    return None if name is None else scalar(node.where, name)


def _language(config: Table, rows: list[Row], report: Report) -> Node:
    node = _section(config, "language")
    written = None if is_empty(node) else read_text(node, "language", report)
    if written is None:
        return scalar(node.where, "en")
    model = SPACY.fullmatch(written)
    for language in (model.group(1) if model else written, written.lower()):
        if LANGUAGE.fullmatch(language):
            return scalar(node.where, language)
    rows.append(
        Row(node.where, "language", "language", f"{written!r} is no ISO 639 code such as en; taken for en", True)
    )
    return scalar(node.where, "en")


def _other_keys(config: Table) -> list[Row]:
    """Rows for what is neither pipeline nor policies."""
    rows = []
    for key, entry in config.entries.items():
        if key == "recipe" and plain(entry.value) not in (None, "default.v1"):
            remark = f"{plain(entry.value)}: a graph of your own is not run; pipeline and policies are read"
            rows.append(Row(entry.where, "recipe", "", remark, True))
        elif key == "importers" and not is_empty(entry.value):
            rows.extend(_importers(entry))
        elif key in ("imports", "spaces") and not is_empty(entry.value):
            remark = "not joined; `starfold init --from-rasa DIR --data PATH` names their data"
            rows.append(Row(entry.where, key, "", remark, True))
        elif key not in KEYS:
            rows.append(Row(entry.where, key, "", f"unknown key, passed over{suggestion(key, KEYS, at_most=0)}", True))
    return rows


def _importers(entry: Entry) -> list[Row]:
    """Rasa's own importer of files is what happens anyway."""
    names = re.findall(r"[\w.]*Importer\w*", str(plain(entry.value))) or [str(plain(entry.value))]
    remark = "not run; bot.yml's `data:` may name any files and folders"
    return [Row(entry.where, name, "data", remark, True) for name in names if not name.endswith("RasaFileImporter")]
