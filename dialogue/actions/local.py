"""Custom actions in this process: rasa-sdk's `Action` classes from a Python file of the project."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Awaitable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dialogue.actions.base import ActionError, ActionRejected, ActionRequest, ActionResult
from dialogue.actions.respond import Responder
from dialogue.actions.sdk import read_result, tracker_state
from dialogue.domain import Domain

if TYPE_CHECKING:
    from rasa_sdk import Action
    from rasa_sdk.executor import CollectingDispatcher


class LocalActions:
    """Runs the actions that a file defines; what it imports from elsewhere is not among them.

    Args:
        file: a Python file. Its folder is searched for what it imports.
        responder: renders the responses that actions name.

    Raises:
        ActionError: if the file cannot be imported, or two of its actions have one name.
    """

    def __init__(self, file: Path, responder: Responder) -> None:
        self._responder = responder
        self._told: tuple[Domain | None, str] = (None, "")  # the last request's domain and how it is told, as JSON
        self._actions: dict[str, Action] = {}
        for name, action in _actions_of(_import(file), file):
            if name in self._actions:
                raise ActionError(f"{file}: two actions are called {name!r}")
            self._actions[name] = action

    @property
    def names(self) -> tuple[str, ...]:
        """The actions, as the file has them in order."""
        return tuple(self._actions)

    def knows(self, name: str) -> bool:
        """Whether the file defines it."""
        return name in self._actions

    def run(self, request: ActionRequest) -> ActionResult:
        """Run it, to its end if it is asynchronous. What it raises goes through, except a refusal.

        Raises:
            ActionRejected: for rasa-sdk's `ActionExecutionRejection`.
            ActionError: if it returns what is no event.
        """
        from rasa_sdk import Tracker
        from rasa_sdk.executor import CollectingDispatcher
        from rasa_sdk.interfaces import ActionExecutionRejection

        dispatcher = CollectingDispatcher()
        tracker = Tracker.from_dict(tracker_state(request))
        try:
            returned = self._actions[request.name].run(dispatcher, tracker, self._domain(request.domain))
            if inspect.isawaitable(returned):
                returned = _finish(_whole(returned, dispatcher))
        except ActionExecutionRejection as refusal:
            raise ActionRejected(str(refusal)) from refusal
        return read_result(request, list(returned or ()), dispatcher.messages, self._responder)

    def _domain(self, domain: Domain) -> dict[str, Any]:
        """The domain as an action server gets it; each action has its own to change."""
        known, told = self._told
        if known is not domain:
            told = json.dumps(domain.as_dict())
            self._told = (domain, told)
        found: dict[str, Any] = json.loads(told)
        return found


def _import(file: Path) -> ModuleType:
    """The file as a module of a name of its own, so that two bots may both have an `actions.py`.

    Beside an `__init__.py` it is a module of that package, for what it imports from there.
    """
    if not file.is_file():
        raise ActionError(f"{file}: no Python file of actions")
    folder = file.resolve().parent
    name = f"starfold_actions_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:16]}"
    modules = {name: file}
    if file.stem != "__init__" and (folder / "__init__.py").is_file():
        modules = {name: folder / "__init__.py", f"{name}.{file.stem}": file}
    # Imports beside the file need its folder on the path, those by the package's name the folder around that.
    places = [str(folder), *([str(folder.parent)] if (folder / "__init__.py").is_file() else [])]
    sys.path[:0] = places
    _forget(name)  # what an earlier reading of the same package left
    try:
        return [_execute(each, path) for each, path in modules.items()][-1]
    except Exception as problem:
        _forget(name)
        raise ActionError(f"{file}: cannot be imported: {type(problem).__name__}: {problem}") from problem
    finally:
        for place in places:
            sys.path.remove(place)


def _forget(name: str) -> None:
    """Drop a module and those inside it."""
    for known in [known for known in sys.modules if known == name or known.startswith(f"{name}.")]:
        del sys.modules[known]


def _execute(name: str, file: Path) -> ModuleType:
    """Run a file as the module `name`. Raises what it raises."""
    inside = [str(file.resolve().parent)] if file.stem == "__init__" else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=inside)
    if spec is None or spec.loader is None:
        raise ImportError("no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # classes that look up their module, such as dataclasses, need it there
    spec.loader.exec_module(module)
    return module


def _actions_of(module: ModuleType, file: Path) -> Iterator[tuple[str, Action]]:
    """Name and instance of every action class the module defines. A class without a name is a base of others."""
    from rasa_sdk import Action

    kinds = [kind for kind in vars(module).values() if inspect.isclass(kind) and kind.__module__ == module.__name__]
    for kind in dict.fromkeys(kinds):
        if not issubclass(kind, Action) or inspect.isabstract(kind):
            continue
        try:
            action: Action = kind()
            yield str(action.name()), action
        except NotImplementedError:
            continue
        except TypeError as problem:
            raise ActionError(f"{file}: {kind.__name__} cannot be built without arguments: {problem}") from problem


async def _whole(returned: Awaitable[Any], dispatcher: CollectingDispatcher) -> Any:
    """What an action returns, and a stream that it forgot to end, ended."""
    events = await returned
    if getattr(dispatcher, "is_streaming_active", False):
        await dispatcher.stream_end()
    return events


def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine, also where an event loop is running already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
