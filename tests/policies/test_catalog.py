"""How policies are found and built."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from policies import catalog
from policies.catalog import BUILT_IN, PolicyError, build, resolve
from policies.confidence import ConfidencePolicy
from policies.memory import MemoryPolicy
from policies.rules import RulePolicy


def test_by_name_path_and_entry_point(monkeypatch):
    point = EntryPoint("mine", "policies.memory:MemoryPolicy", catalog.GROUP)
    monkeypatch.setattr(catalog, "_installed", lambda: (point,))
    assert resolve("rules") is RulePolicy
    assert resolve("policies.rules:RulePolicy") is RulePolicy
    assert resolve("policies.rules.RulePolicy") is RulePolicy
    assert resolve("mine") is MemoryPolicy


def test_one_name_for_two_classes_is_an_error(monkeypatch):
    monkeypatch.setattr(catalog, "_installed", lambda: (EntryPoint("rules", "other:Policy", catalog.GROUP),))
    with pytest.raises(PolicyError, match="defined twice"):
        resolve("rules")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ruels", "did you mean 'rules'"),
        ("zzz", "expected one of confidence"),
        ("no.such.module", "cannot be imported"),
        ("policies.rules:Nothing", "cannot be imported"),
        ("policies.types:Belief", "not a policy"),
        (".", "cannot be imported"),
    ],
)
def test_what_is_no_policy(name, said):
    with pytest.raises(PolicyError, match=said):
        resolve(name)


def test_options_are_the_constructors():
    assert build("memory", {"max_history": 3}).max_history == 3
    gate = build("confidence", {"costs": {"wrong": 2}, "name": "gate"})
    assert (gate.costs["wrong"], gate.name) == (2.0, "gate")
    assert isinstance(gate, ConfidencePolicy)
    assert build("fallback", {"steps": ["rephrase", "hand_over"]}).steps == ("rephrase", "hand_over")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("memory", {"max_histroy": 3}, "did you mean 'max_history'"),
        ("memory", {"max_history": "many"}, "'max_history'.*integer.*'many'"),
        ("memory", {"max_history": 0}, "at least 1"),
        ("confidence", {"costs": {"wrong": "a lot"}}, "number"),
        ("confidence", {"threshold": 7}, "probability"),
    ],
)
def test_bad_options_say_what_was_expected(name, options, said):
    with pytest.raises(PolicyError, match=said):
        build(name, options)


def test_every_built_in_can_be_built():
    assert {build(name).name for name in BUILT_IN} == set(BUILT_IN)


def test_importing_policies_is_cheap():
    code = "import policies.catalog, policies.chain, policies.rules, policies.memory, sys; print(*sys.modules)"
    loaded = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert not loaded & {"torch", "pydantic", "numpy", "dialogue", "encoders"}
