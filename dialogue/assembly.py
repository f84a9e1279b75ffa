"""What runs a bot's actions and words its responses, as bot.yml and the environment say."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dialogue.config import Config
from dialogue.domain import Domain
from dialogue.engine import MOST_ACTIONS
from dialogue.errors import ActionError
from dialogue.sections import Server

if TYPE_CHECKING:
    from dialogue.actions.base import Actions
    from dialogue.actions.dispatch import Dispatcher
    from dialogue.actions.respond import Responder
    from dialogue.sections import Actions as ActionsSection
    from dialogue.understanding import Understanding

MAX_PREDICTIONS = "MAX_NUMBER_OF_PREDICTIONS"


def actions(config: Config, domain: Domain) -> Dispatcher:
    """The bot's actions: the built-in ones, and those of its own Python file or action server.

    Raises:
        ActionError: if the file cannot be imported, or the server's options are wrong.
    """
    from dialogue.actions.dispatch import all_actions

    responder = responder_of(config)
    custom = [] if config.actions is None else [custom_actions(config, config.actions, domain, responder)]
    return all_actions(domain, responder, custom=custom, language=config.language)


def custom_actions(config: Config, section: ActionsSection, domain: Domain, responder: Responder) -> Actions:
    """The project's own actions."""
    if section.file is not None:
        from dialogue.actions.local import LocalActions

        return LocalActions(config.project / section.file, responder)
    from dialogue.actions.remote import ActionServer, RemoteActions

    server = ActionServer(**connection(config, section), selective_domain=section.selective_domain)
    return RemoteActions(server, domain, responder)


def responder_of(config: Config) -> Responder:
    """What says responses: the domain's words, or a server's."""
    rng = random.Random(config.seed)  # noqa: S311 (chooses among wordings)
    if config.nlg is not None:
        from dialogue.actions.http import Endpoint
        from dialogue.actions.nlg import CallbackResponder

        return CallbackResponder(Endpoint(**connection(config, config.nlg)), rng)
    from dialogue.actions.respond import Responder

    return Responder(rng)


def understanding_of(config: Config, model: Understanding) -> Understanding:
    """What reads messages: the model, and a Duckling server where there is one.

    Raises:
        ActionError: if the server's options are wrong.
    """
    section = config.duckling
    if section is None:
        return model
    from dialogue.actions.http import Endpoint
    from dialogue.duckling import Asked, DucklingUnderstanding

    locale = section.locale or config.language.replace("-", "_")
    asked = Asked(locale, section.dimensions, section.timezone)
    return DucklingUnderstanding(model, Endpoint(**connection(config, section)), asked)


def connection(config: Config, server: Server) -> dict[str, Any]:
    """The options of an endpoint, as a section of bot.yml has them."""
    options = server.model_dump(include=set(Server.model_fields) - {"basic_auth", "cafile"})
    login = server.basic_auth
    options["basic_auth"] = None if login is None else (login.username, login.password)
    options["cafile"] = None if server.cafile is None else config.project / server.cafile
    return options


def most_actions(environment: Mapping[str, str]) -> int:
    """How many actions a turn may have: Rasa's `MAX_NUMBER_OF_PREDICTIONS`, or the default.

    Raises:
        ActionError: if it is no positive whole number.
    """
    written = environment.get(MAX_PREDICTIONS)
    if written is None:
        return MOST_ACTIONS
    if not written.isdecimal() or int(written) < 1:
        raise ActionError(f"{MAX_PREDICTIONS}: expected a whole number of at least 1, got {written!r}")
    return int(written)
