"""From the name of an encoder type in a bot's configuration to the class, and from its options to an instance."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, get_type_hints

from encoders.base import Encoder

GROUP = "starfold.encoders"
BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "bert": "encoders.bert:BertEncoder",
        "fasttext": "encoders.fasttext:FastTextEncoder",
        "gru": "encoders.gru:GRUEncoder",
        "onehot": "encoders.onehot:OneHotEncoder",
        "use": "encoders.use:USEEncoder",
        "word2vec": "encoders.word2vec:Word2VecEncoder",
    }
)


class UnknownEncoderError(ValueError):
    """No encoder type of that name. `near` holds names that look like it, `known` all of them."""

    def __init__(self, message: str, near: tuple[str, ...], known: tuple[str, ...]) -> None:
        super().__init__(message)
        self.near, self.known = near, known


class OptionError(ValueError):
    """An option an encoder does not take, or a value of the wrong type or out of its range. `key` is the option."""

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key


def names() -> tuple[str, ...]:
    """Every encoder type that can be named: built in and installed, sorted."""
    return tuple(sorted(set(BUILT_IN) | {point.name for point in _installed()}))


def resolve(type_name: str) -> type[Encoder]:
    """The class of an encoder type.

    Args:
        type_name: a built-in name, one that a package registered under the entry point group "starfold.encoders", or
            a dotted path "package.module:Class".

    Raises:
        UnknownEncoderError: if there is none, or the path leads nowhere.
        ValueError: if what is found is not an encoder, or two packages claim the name.
    """
    found = _import(type_name) if ":" in type_name else _named(type_name)
    if not isinstance(found, type) or not all(hasattr(found, name) for name in CONTRACT):
        raise ValueError(f"encoder type {type_name!r} is {found!r}, not an encoder: expected {', '.join(CONTRACT)}")
    return found


CONTRACT = ("supervised", "dim", "fit", "encode", "save", "load")


def build(type_name: str, options: Mapping[str, Any]) -> Encoder:
    """An instance of an encoder type, its options checked against the constructor's signature and annotations.

    Raises:
        UnknownEncoderError: if the type does not exist.
        OptionError: if an option is unknown, missing, or not of the annotated type and range (`encoders.options`).
    """
    found = resolve(type_name)
    return found(**check_options(type_name, found, options))


def check_options(type_name: str, encoder: type[Encoder], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options converted to the annotated types: a list becomes a tuple, an integer a float, a string a path.

    Raises:
        OptionError: if an option is unknown, missing, or not of the annotated type and range (`encoders.options`).
    """
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(encoder).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    for key in options:
        if key not in parameters:
            raise OptionError(_unknown(f"encoder {type_name!r} has no option {key!r}", key, tuple(parameters)), key)
    for key, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and key not in options:
            raise OptionError(f"encoder {type_name!r} needs the option {key!r}", key)
    hints = get_type_hints(encoder.__init__, include_extras=True)
    return {key: _convert(type_name, key, value, hints.get(key, Any)) for key, value in options.items()}


def _convert(type_name: str, key: str, value: Any, annotation: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    try:
        adapter = TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
        return adapter.validate_json(_json(value), strict=True)
    except ValidationError as error:
        wrong = error.errors()[0]["msg"]
        raise OptionError(f"encoder {type_name!r}, option {key!r} = {value!r}: {wrong}", key) from error


def _json(value: Any) -> bytes:
    """As JSON, so that strict validation takes what a configuration file can say: lists for tuples, text for paths."""
    from pydantic_core import to_json

    return to_json(value)


def _named(type_name: str) -> Any:
    claims = {point.value for point in _installed() if point.name == type_name}
    claims |= {BUILT_IN[type_name]} if type_name in BUILT_IN else set()
    if len(claims) > 1:
        raise ValueError(f"encoder type {type_name!r} is claimed more than once: {', '.join(sorted(claims))}")
    if not claims:
        known = names()
        message = _unknown(f"there is no encoder type {type_name!r}", type_name, known)
        raise UnknownEncoderError(message, tuple(get_close_matches(type_name, known)), known)
    return _import(claims.pop())


def _import(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UnknownEncoderError(f"encoder type {path!r} cannot be imported: {error}", (), names()) from error


@cache
def _installed() -> tuple[EntryPoint, ...]:
    """Looked up once: it takes 13 ms, and a configuration asks for each encoder several times."""
    return tuple(entry_points(group=GROUP))


def _unknown(fact: str, key: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(key, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{fact}{hint} Expected one of: {', '.join(known)}" if known else f"{fact}; it takes none"
