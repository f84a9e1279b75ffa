"""Which policies there are: built in, from installed packages, from the project's own code."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast, get_type_hints

from policies.base import Policy

GROUP = "starfold.policies"
BUILT_IN: Mapping[str, str] = {
    "rules": "policies.rules:RulePolicy",
    "forms": "policies.forms:FormPolicy",
    "memory": "policies.memory:MemoryPolicy",
    "transformer": "policies.transformer:TransformerPolicy",
    "confidence": "policies.confidence:ConfidencePolicy",
    "fallback": "policies.fallback:FallbackPolicy",
}


class PolicyError(ValueError):
    """A policy cannot be found, or its options do not fit. `key` is the option that is wrong, if it is one."""

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


def known() -> dict[str, str]:
    """Every policy that has a name, with the place of its class: built in or installed as an entry point.

    Raises:
        PolicyError: if two installed packages, or one and a built-in, claim the same name.
    """
    places = dict(BUILT_IN)
    for found in _installed():
        if places.setdefault(found.name, found.value) != found.value:
            raise PolicyError(f"policy {found.name!r} is defined twice: {places[found.name]} and {found.value}")
    return places


@cache
def _installed() -> tuple[EntryPoint, ...]:
    """Looked up once: it takes 13 ms, and a configuration asks for each policy several times."""
    return tuple(entry_points(group=GROUP))


def resolve(name: str) -> type[Policy]:
    """The class of a policy.

    Args:
        name: a known name, or a dotted path, `package.module.Class` or `package.module:Class`.

    Raises:
        PolicyError: if there is no such thing, or it is no policy.
    """
    places = known()
    place = places.get(name, name)
    if place == name and "." not in name:
        near = difflib.get_close_matches(name, places, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(sorted(places))}"
        raise PolicyError(f"unknown policy {name!r}: {hint}")
    module, _, attribute = place.partition(":") if ":" in place else place.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as problem:
        raise PolicyError(f"policy {name!r} cannot be imported: {problem}") from problem
    if not (inspect.isclass(found) and all(callable(getattr(found, part, None)) for part in _METHODS)):
        raise PolicyError(f"policy {name!r}: {place} is not a policy, a class with {', '.join(_METHODS)}")
    return cast(type[Policy], found)


def build(name: str, options: Mapping[str, Any] | None = None) -> Policy:
    """A policy with options.

    The constructor's signature is the schema: an option must be one of its arguments and fit the annotation.

    Raises:
        PolicyError: naming the policy, the option and what was expected.
    """
    kind = resolve(name)
    checked = _checked(name, kind, options or {})
    try:
        return kind(**checked)
    except (TypeError, ValueError) as problem:
        option = str(problem).partition(":")[0]  # constructors begin with what they refuse
        raise PolicyError(f"policy {name!r}: {problem}", option if option in checked else None) from problem


_METHODS = ("fit", "decide", "save", "load")


def _checked(name: str, kind: type[Policy], options: Mapping[str, Any]) -> dict[str, Any]:
    from pydantic import TypeAdapter, ValidationError

    arguments = inspect.signature(kind).parameters
    annotations = get_type_hints(kind.__init__)
    checked = {}
    for option, value in options.items():
        if option not in arguments:
            near = difflib.get_close_matches(option, arguments, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(arguments) or 'none'}"
            raise PolicyError(f"policy {name!r}: unknown option {option!r}: {hint}", option)
        try:
            checked[option] = TypeAdapter(annotations.get(option, Any)).validate_python(value)
        except ValidationError as problem:
            first = problem.errors()[0]
            expected = re.sub("^Input should be ", "expected ", first["msg"]).partition(",")[0]
            raise PolicyError(f"policy {name!r}: option {option!r}: {expected}, got {value!r}", option) from problem
    return checked
