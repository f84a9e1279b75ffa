"""Which channels there are: built in, from installed packages, from the project's own code.

A channel's type names what makes it, a class or a function, whose keyword arguments are the options. Values of options
are secrets more often than not, so no error shows one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, get_type_hints

from dialogue.errors import suggestion

GROUP = "starfold.channels"
BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "callback": "dialogue.channels.rasa:Callback",
        "chatwoot": "dialogue.channels.chatwoot:Chatwoot",
        "dingtalk": "dialogue.channels.dingtalk:DingTalk",
        "discord": "dialogue.channels.discord:Discord",
        "feishu": "dialogue.channels.feishu:Feishu",
        "line": "dialogue.channels.line:Line",
        "mail": "dialogue.channels.mail:Mail",
        "messenger": "dialogue.channels.messenger:Messenger",
        "rest": "dialogue.channels.rasa:Rest",
        "slack": "dialogue.channels.slack:Slack",
        "socketio": "dialogue.channels.rasa:SocketIO",
        "teams": "dialogue.channels.teams:Teams",
        "telegram": "dialogue.channels.telegram:telegram",
        "twilio": "dialogue.channels.twilio:Twilio",
        "wechat": "dialogue.channels.wechat:WeChat",
        "wecom": "dialogue.channels.wecom:WeCom",
        "whatsapp": "dialogue.channels.whatsapp:WhatsApp",
    }
)
NAME = "name"  # the argument that bot.yml gives by the key, not as an option


class ChannelError(ValueError):
    """A channel cannot be found, or its options do not fit. `key` is the option that is wrong, if it is one."""

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


def known() -> dict[str, str]:
    """Every type of channel that has a name, with the place of what makes it.

    Raises:
        ChannelError: if two installed packages, or one and a built-in, claim the same name.
    """
    places = dict(BUILT_IN)
    for found in entry_points(group=GROUP):
        if places.setdefault(found.name, found.value) != found.value:
            raise ChannelError(f"channel {found.name!r} is defined twice: {places[found.name]} and {found.value}")
    return places


def maker(type_name: str) -> Callable[..., Any]:
    """What makes a channel of a type.

    Args:
        type_name: a known name, or a path `package.module:Class`.

    Raises:
        ChannelError: if there is no such thing, or it takes no `name`.
    """
    places = known()
    place = places.get(type_name, type_name)
    if ":" not in place:
        raise ChannelError(f"there is no channel {type_name!r}{suggestion(type_name, places, at_most=30)}")
    module, _, attribute = place.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as problem:
        raise ChannelError(f"channel {type_name!r} cannot be imported: {problem}") from problem
    if not callable(found) or NAME not in inspect.signature(found).parameters:
        raise ChannelError(f"channel {type_name!r}: {place} is not a channel, a class whose constructor takes a name")
    return found  # type: ignore[no-any-return]


def parameters(make: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The options of what makes a channel."""
    return {name: one for name, one in inspect.signature(make).parameters.items() if name != NAME}


def check(type_name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options converted to the annotated types: a list becomes a tuple, a text out of the environment a number.

    Raises:
        ChannelError: if the type does not exist, or an option is unknown, missing or not of its type.
    """
    make = maker(type_name)
    taken = parameters(make)
    for key in options:
        if key not in taken:
            message = f"channel {type_name!r} has no option {key!r}{suggestion(key, taken, at_most=30)}"
            raise ChannelError(message, key)
    for key in missing(type_name, options):
        raise ChannelError(f"channel {type_name!r} needs the option {key!r}")
    hints = get_type_hints(vars(make)["__init__"] if isinstance(make, type) else make)
    return {key: _convert(type_name, key, value, hints.get(key, Any)) for key, value in options.items()}


def missing(type_name: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Options that have to be given and are not.

    Raises:
        ChannelError: if the type does not exist.
    """
    taken = parameters(maker(type_name))
    return tuple(key for key, one in taken.items() if one.default is inspect.Parameter.empty and key not in options)


def from_environment(type_name: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Options a channel finds in the environment: an option `token` of `telegram` is `TELEGRAM_TOKEN`.

    Returns:
        Options and values; none for a type that does not exist.
    """
    places = known()
    taken = parameters(maker(type_name)) if type_name in places else {}
    names = {key: f"{type_name}_{key}".upper() for key in taken}
    return {key: environment[name] for key, name in names.items() if environment.get(name)}


def build(name: str, type_name: str, options: Mapping[str, Any]) -> Any:
    """A channel.

    Args:
        name: of the channel, the last part of its webhook's address.
        type_name: as for `maker`.
        options: keyword arguments.

    Raises:
        ChannelError: as `check`, or if the channel refuses a value.
    """
    checked = check(type_name, options)
    try:
        return maker(type_name)(name=name, **checked)
    except (TypeError, ValueError) as problem:
        raise ChannelError(f"channel {type_name!r}: {problem}") from problem


def _convert(type_name: str, key: str, value: Any, annotation: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter, ValidationError
    from pydantic_core import to_json

    try:
        adapter = TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
        return adapter.validate_json(to_json(_text(value, annotation)), strict=not isinstance(value, str))
    except ValidationError as problem:
        wrong = problem.errors(include_input=False)[0]["msg"]
        raise ChannelError(f"channel {type_name!r}, option {key!r}: {wrong}", key) from None


def _text(value: Any, annotation: Any) -> Any:
    """A number where a text is wanted: an id or a phone number that the file does not put in quotes."""
    wanted = annotation in (str, str | None)
    return str(value) if wanted and isinstance(value, int) and not isinstance(value, bool) else value
