"""From a project's folder to a service that answers."""

from __future__ import annotations

import secrets
from pathlib import Path

from dialogue.config import Config
from dialogue.config_file import load_config
from dialogue.errors import ModelError, suggestion
from dialogue.project import Progress, bot_of, train
from dialogue.sections import Serving
from dialogue.server.answering import Answering
from dialogue.server.auth import Authority
from dialogue.server.live import Live, Loaded
from dialogue.server.service import BotService
from dialogue.store.sql import SqlTrackerStore
from dialogue.together import MOST_LATE
from dialogue.training.folder import VERSION, current_version, read_manifest

KEY = ".starfold/visitor.key"


def open_service(
    project: Path, serving: Serving, *, progress: Progress | None = None, answering: Answering | None = None
) -> BotService:
    """The bot as a service, trained first if there is no fresh model.

    Args:
        project: the bot's folder.
        serving: the section `server` of bot.yml.
        progress: hears how training goes.
        answering: which version answers, where several processes serve the bot.

    Raises:
        StarfoldError: of the kind that fits; see `dialogue.errors`.
    """
    train(project, progress=progress or (lambda stage, done, total: None))
    store = SqlTrackerStore(load_config(project).store_url, most_turns=serving.workers + MOST_LATE + 1)

    def load(version: str | None) -> Loaded:
        config = load_config(project)
        folder = version_folder(config, version)
        facts = dict(read_manifest(folder).facts)
        return Loaded(bot_of(config, folder, store), folder.name, facts)

    first = load(answering.read() or None if answering else None)
    live = Live(load, first, say=answering.say) if answering else Live(load, first)
    return BotService(live, store, workers=serving.workers, most_waiting=serving.queue)


def version_folder(config: Config, version: str | None) -> Path:
    """The folder of a version by its name, or of the current one. Raises `ModelError` when there is none."""
    if version is None:
        found = current_version(config.model_path)
        if found is None:
            raise ModelError(f"there is no model in {config.model_path}; `starfold train` makes one")
        return found
    known = sorted(path.name for path in config.model_path.iterdir() if VERSION.fullmatch(path.name))
    if version not in known:
        raise ModelError(f"there is no version {version!r}{suggestion(version, known)}")
    return config.model_path / version


def authority_of(project: Path, serving: Serving) -> Authority:
    """Who may call, as bot.yml says."""
    return Authority(
        serving.tokens,
        visitor_secret=serving.visitor_secret or own_secret(project / KEY),
        jwt_secret=serving.jwt_secret,
        jwt_method=serving.jwt_method,
        identity_secret=serving.identity_secret,
    )


def own_secret(file: Path) -> str:
    """A secret made once and kept where only its owner reads it, so that visitors' sessions outlive a restart."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(secrets.token_urlsafe(32), "ascii")
    except FileExistsError:
        pass
    return file.read_text("ascii")
