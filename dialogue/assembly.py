"""What runs a bot's actions and words its responses, as bot.yml and the environment say."""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dialogue.config import Config
from dialogue.domain import Domain
from dialogue.engine import MOST_ACTIONS
from dialogue.errors import ActionError, ProjectError, error
from dialogue.sections import Server

if TYPE_CHECKING:
    from dialogue.actions.base import Actions
    from dialogue.actions.dispatch import Dispatcher
    from dialogue.actions.respond import Responder
    from dialogue.channels.base import Channel, Listener
    from dialogue.channels.rasa import Callback, Rest, SocketIO
    from dialogue.sections import Actions as ActionsSection
    from dialogue.understanding import Understanding

MAX_PREDICTIONS = "MAX_NUMBER_OF_PREDICTIONS"


def actions(config: Config, domain: Domain) -> tuple[Dispatcher, Dispatcher]:
    """The bot's actions: the built-in ones, and those of its own Python file or action server.

    Returns:
        All of them, and the same where those of its own, and responses that a server words, raise `Outside`.

    Raises:
        ActionError: if the file cannot be imported, or the server's options are wrong.
    """
    from dialogue.actions.dispatch import Elsewhere, all_actions
    from dialogue.actions.nlg import SilentResponder

    responder = responder_of(config)
    custom = [] if config.actions is None else [custom_actions(config, config.actions, domain, responder)]
    quick = responder if config.nlg is None else SilentResponder(random.Random())  # noqa: S311 (it says nothing)
    return (
        all_actions(domain, responder, custom=custom, language=config.language),
        all_actions(domain, quick, custom=map(Elsewhere, custom), language=config.language),
    )


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


def build_channels(
    config: Config, names: Collection[str] | None = None, *, environment: Mapping[str, str] | None = None
) -> dict[str, Channel | Listener | Rest | Callback | SocketIO]:
    """The bot's messaging channels under their names, and the options of Rasa's own protocols.

    Args:
        config: of the bot.
        names: those wanted; by default all of bot.yml. One that is not in bot.yml is made of the environment: its type
            is its name, and an option `token` of `telegram` is `TELEGRAM_TOKEN`.
        environment: instead of the process's own.

    Raises:
        ProjectError: with every channel that cannot be found, does not take its options, or is none.
    """
    from dialogue.catalog import from_environment
    from dialogue.channels.base import Channel, Listener
    from dialogue.channels.rasa import Callback, Rest, SocketIO
    from dialogue.config import ChannelPart
    from dialogue.plugins import make_channels

    given = os.environ if environment is None else environment
    extra = {name: ChannelPart(type=name, **from_environment(name, given)) for name in names or ()}
    whole = config.model_copy(update={"channels": {**extra, **config.channels}})
    made = make_channels(whole, names)
    for name, channel in made.items():
        if not isinstance(channel, Channel | Listener | Rest | Callback | SocketIO):
            message = (
                f"channel {name!r} is {type(channel).__name__}, not a channel: expected send, and receive or listen"
            )
            raise ProjectError([error(config.where("channels", name), message)])
    return made


@dataclass(frozen=True, slots=True)
class ChannelState:
    """How a channel stands.

    Attributes:
        name: under which bot.yml has it, or its type.
        word: `configured` in bot.yml, `ready` when the environment has all it needs, `wrong`, or `-`.
        detail: where its webhook is, or what it does instead, or the options it needs, or what is wrong.
    """

    name: str
    word: str
    detail: str


def channel_states(config: Config | None, environment: Mapping[str, str]) -> tuple[ChannelState, ...]:
    """Every channel of the bot, and every other that there is.

    Args:
        config: of the bot; None without one.
        environment: of the process.
    """
    from dialogue.catalog import from_environment, known, missing

    mine = {} if config is None else dict(config.channels)
    states = [_state(config, name, environment) for name in mine if config is not None]
    for name in sorted(known().keys() - {part.type for part in mine.values()} - mine.keys()):
        needed = missing(name, from_environment(name, environment))
        if needed:
            states.append(ChannelState(name, "-", f"needs {', '.join(needed)}"))
        else:
            states.append(_state(config or Config(), name, environment))
    return tuple(states)


def _state(config: Config, name: str, environment: Mapping[str, str]) -> ChannelState:
    from dialogue.channels.base import Channel

    word = "configured" if name in config.channels else "ready"
    try:
        channel = build_channels(config, [name], environment=environment)[name]
    except ProjectError as wrong:
        return ChannelState(name, "wrong", str(wrong))
    if isinstance(channel, Channel):
        return ChannelState(name, word, f"/webhooks/{name}/webhook")
    return ChannelState(name, word, "fetches its messages" if hasattr(channel, "listen") else "part of the server")


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
