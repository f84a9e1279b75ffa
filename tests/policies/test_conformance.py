"""Every built-in policy holds what the conformance kit asks."""

import pytest

from policies.catalog import BUILT_IN, build
from policies.testing import check_policy, sample_stories
from policies.types import Pass


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_policy_conforms(name, tmp_path):
    check_policy(lambda: build(name), tmp_path)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_policies_are_called_as_in_the_catalogue(name):
    assert build(name).name == name


class Forgetful:
    """Breaks a promise: gives another verdict each time."""

    name = "forgetful"

    def __init__(self):
        self.asked = 0

    def fit(self, stories, *, seed=0):
        return self

    def decide(self, belief, state):
        self.asked += 1
        return Pass(f"asked {self.asked} times")

    def save(self, folder):
        pass

    def load(self, folder):
        return self


class Stubborn(Forgetful):
    """Breaks another: gives no verdict."""

    def decide(self, belief, state):
        return None


@pytest.mark.parametrize(("policy", "said"), [(Forgetful, "another verdict"), (Stubborn, "expected a verdict")])
def test_the_kit_finds_a_broken_policy(policy, said, tmp_path):
    with pytest.raises(AssertionError, match=said):
        check_policy(policy, tmp_path)


def test_the_samples_have_rules_and_stories():
    assert {story.is_rule for story in sample_stories()} == {True, False}
