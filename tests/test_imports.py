"""Who may import whom, read from the sources; and what a plain import may load."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("dialogue", "encoders", "policies")

# Lowest first. A module may import its own step and those below; side by side stand two towers on one ground.
CONVERSATION = (
    ("dialogue.catalog", "dialogue.clock", "dialogue.errors", "dialogue.message", "dialogue.tracing", "dialogue.watch"),
    ("dialogue.domain", "dialogue.events", "dialogue.fold", "dialogue.reminders", "dialogue.slots"),
    ("dialogue.tracker",),
    ("dialogue.draft", "dialogue.extraction", "dialogue.responses", "dialogue.understanding"),
    ("dialogue.actions",),
    ("dialogue.duckling", "dialogue.filling"),
    ("dialogue.engine", "dialogue.replay", "dialogue.store"),
    ("dialogue.turn",),
    ("dialogue.together",),
    ("dialogue.bot",),
    ("dialogue.channels",),
    ("dialogue.server",),
    ("dialogue.commands",),
    ("dialogue.cli",),
    ("dialogue.__main__",),
)
LEARNING = (
    ("dialogue.catalog", "dialogue.errors", "dialogue.message"),
    ("dialogue.posterior",),
    ("dialogue.fusion",),
    ("dialogue.encoding", "dialogue.entities", "dialogue.tagging", "dialogue.views"),
    ("dialogue.model",),
    (
        *(
            "dialogue.config",
            "dialogue.config_file",
            "dialogue.pipelines",
            "dialogue.plugins",
            "dialogue.rasa",
            "dialogue.sections",
        ),
        "dialogue.training",
    ),
    ("dialogue.assembly", "dialogue.usage"),
    ("dialogue.brokers", "dialogue.checks", "dialogue.project"),
    (
        *("dialogue.console", "dialogue.doctor", "dialogue.reach", "dialogue.scaffold", "dialogue.training.evaluate"),
        *("dialogue.e2e", "dialogue.graph", "dialogue.graph_page", "dialogue.interactive", "dialogue.story_tests"),
        *("dialogue.learning", "dialogue.report"),
    ),
    ("dialogue.server",),
    ("dialogue.commands",),
    ("dialogue.cli",),
    ("dialogue.__main__",),
)
# Each thing that is slow to load, and the only places that may name it.
HOMES = {
    "alembic": ("dialogue.store.migrations",),
    "cryptography": ("dialogue.channels.discord", "dialogue.channels.feishu", "dialogue.channels.wechat_crypto"),
    "fastapi": ("dialogue.server",),
    "faststream": ("dialogue.brokers",),
    "fasttext": ("encoders.fasttext",),
    "gensim": ("encoders.word2vec",),
    "httpx": ("dialogue.actions.http", "dialogue.channels", "dialogue.server"),
    "huggingface_hub": ("encoders.bert_source",),
    "jwt": ("dialogue.channels.teams", "dialogue.server.auth", "dialogue.server.socketio"),
    "limits": ("dialogue.server.limits",),
    "onnx": ("encoders.bert_onnx",),
    "onnxruntime": ("encoders.bert_runtime",),
    "opentelemetry": ("dialogue.tracing",),
    "prometheus_client": ("dialogue.server.metrics",),
    "prompt_toolkit": ("dialogue.channels",),
    "pydantic": (
        "dialogue.catalog",
        "dialogue.config",
        "dialogue.config_file",
        "dialogue.sections",
        "dialogue.server",
        "dialogue.training.places",
        "encoders.catalog",
        "policies.catalog",
    ),
    "rasa_sdk": ("dialogue.actions.local",),
    "resvg_py": ("dialogue.report.write",),
    "rich": ("dialogue.channels", "dialogue.console", "dialogue.doctor"),
    "sklearn": ("dialogue.training.metrics",),
    "socketio": ("dialogue.server.socketio",),
    "sqlalchemy": ("dialogue.store",),
    "starlette": ("dialogue.server",),
    "transformers": ("encoders.bert_torch",),
    "typer": ("dialogue.cli", "dialogue.commands"),
    "uvicorn": ("dialogue.server.serve",),
}
HEAVY = {*HOMES, "torch", "numpy", "scipy"} - {"typer"}
# What a turn is worked out from reaches no file, socket, process, thread or environment.
PURE = ("dialogue.engine", "dialogue.replay", "dialogue.tracker", "policies.chain")
OUTSIDE = {
    *("asyncio", "ftplib", "http", "io", "multiprocessing", "os", "select", "shutil", "signal", "smtplib", "socket"),
    *("sqlite3", "ssl", "subprocess", "tempfile", "threading", "urllib", "concurrent", "requests"),
    *HEAVY,
}


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def modules() -> dict[str, ast.Module]:
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    return {name_of(file): ast.parse(file.read_text(encoding="utf-8"), str(file)) for file in files}


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """Full names that import statements among the nodes bring in; of the project's own, the module they are of."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & modules().keys() or {str(node.module)}
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """All that a module imports: at its top, in functions, and for its types."""
    return frozenset(imported(ast.walk(modules()[module])))


def own(names: frozenset[str] | set[str]) -> set[str]:
    return {name for name in names if name.partition(".")[0] in PACKAGES}


def within(name: str, *places: str) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def step(name: str, tower: tuple[tuple[str, ...], ...]) -> int | None:
    """How high a module stands in a tower, by the most exact place that holds it; None outside."""
    fitting = [(len(place), height) for height, places in enumerate(tower) for place in places if within(name, place)]
    return max(fitting)[1] if fitting else None


def reached(start: str) -> dict[str, str]:
    """Every own module that is loaded with `start`, each with the module that brings it."""
    found, todo = {start: start}, [start]
    while todo:
        module = todo.pop()
        for name in own(imported(iter(at_top(modules()[module])))) & modules().keys() - found.keys():
            found[name] = module
            todo.append(name)
    return found


def at_top(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes that run on import: what stands in functions or under TYPE_CHECKING does not."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            todo += node.orelse
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            todo += ast.iter_child_nodes(node)


@pytest.mark.parametrize("leaf", ["encoders", "policies"])
def test_encoders_and_policies_are_leaves(leaf):
    wrong = {(name, other) for name in modules() if within(name, leaf) for other in own(imports(name))}
    assert {(name, other) for name, other in wrong if not within(other, leaf)} == set()


def test_every_module_of_dialogue_has_a_step():
    placed = {place for tower in (CONVERSATION, LEARNING) for places in tower for place in places}
    assert {name for name in modules() if name.startswith("dialogue.") and not within(name, *placed)} == set()
    assert {place for place in placed if place not in modules()} == set()


@pytest.mark.parametrize("tower", [CONVERSATION, LEARNING], ids=["conversation", "learning"])
def test_imports_go_down(tower):
    wrong = []
    for name in modules():
        mine = step(name, tower)
        for other in own(imports(name)):
            theirs = step(other, tower)
            if mine is not None and theirs is not None and theirs > mine:
                wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_the_towers_stand_apart():
    # Without the ground both stand on, and without the project, the server and the command line that join them.
    talking = [place for places in CONVERSATION[2:-4] for place in places]
    learning = [place for places in LEARNING[1:-7] for place in places]
    pairs = [(name, other) for name in modules() for other in own(imports(name))]
    assert [pair for pair in pairs if within(pair[0], *talking) and within(pair[1], *learning)] == []
    assert [pair for pair in pairs if within(pair[0], *learning) and within(pair[1], *talking)] == []


def test_nothing_imports_the_command_line():
    users = [name for name in modules() if "dialogue.cli" in imports(name)]
    assert users == ["dialogue.__main__"]


def test_channels_reach_the_bot_alone():
    allowed = ("dialogue.channels", "dialogue.bot", "dialogue.domain", "dialogue.errors", "dialogue.events")
    allowed += ("dialogue.message", "dialogue.turn", "dialogue.understanding", "policies.types")
    wrong = [(name, other) for name in modules() if within(name, "dialogue.channels") for other in own(imports(name))]
    assert [pair for pair in wrong if not within(pair[1], *allowed)] == []


@pytest.mark.parametrize("core", PURE)
def test_the_core_does_no_input_or_output(core):
    loaded = reached(core)
    assert len(loaded) > 1
    wrong = {
        f"{name} imports {other}"
        for name in loaded
        for other in imported(iter(at_top(modules()[name])))
        if other.partition(".")[0] in OUTSIDE
    }
    calls = {
        f"{name}:{node.lineno} calls {node.func.id}"
        for name in loaded
        for node in ast.walk(modules()[name])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("open", "print", "input")
    }
    assert wrong | calls == set()


@pytest.mark.parametrize("library", HOMES)
def test_what_is_heavy_has_one_home(library):
    users = {name for name in modules() if any(other.partition(".")[0] == library for other in imports(name))}
    assert users, f"nothing uses {library}: take it off the list of dependencies"
    assert {name for name in users if not within(name, *HOMES[library])} == set()


def test_no_module_imports_itself_in_a_circle():
    graph = {name: own(imported(iter(at_top(tree)))) - {name} for name, tree in modules().items()}
    assert len(tuple(TopologicalSorter(graph).static_order())) >= len(graph)


@pytest.mark.parametrize("module", [*PACKAGES, "dialogue.bot", "dialogue.channels.jsonl", "policies.catalog"])
def test_a_plain_import_is_light(module):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert {name.partition(".")[0] for name in done.stdout.split()} & HEAVY == set()


def test_a_server_loads_nothing_that_only_training_or_another_channel_needs():
    code = "import sys, dialogue.model, dialogue.server.serve; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert set(done.stdout.split()) & {"socketio", "scipy.optimize", "torch", "sklearn", "gensim", "onnx"} == set()


def test_help_is_quick():
    # Processor time of the child, best of three: other work on the machine counts for nothing.
    def seconds() -> float:
        before = os.times()
        command = [sys.executable, "-c", "from dialogue.cli import main; main()", "--help"]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(seconds() for _ in range(3)) <= 0.4
