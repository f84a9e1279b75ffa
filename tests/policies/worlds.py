"""Short ways to write stories, beliefs and states."""

from policies.testing import belief
from policies.types import DialogueState, Entity, Story, StoryStep, Turn

__all__ = ["action", "belief", "form", "rule", "said", "slot", "state", "story", "user"]


def user(intent, *entities):
    return StoryStep(intent=intent, entities=tuple(Entity(name, 0, 0, None, "story") for name in entities))


def action(name):
    return StoryStep(action=name)


def form(name):
    return StoryStep(active_form=name, sets_form=True)


def slot(name, value):
    return StoryStep(slots={name: value})


def story(name, *steps):
    return Story(name, steps, "stories.yml:1")


def rule(name, *steps, **options):
    return Story(name, steps, "rules.yml:1", is_rule=True, **options)


def said(intent, *actions, entities=(), text=None):
    return Turn(intent, tuple(Entity(name, 0, 0, "x", "test") for name in entities), actions, text)


def state(*turns, slots=None, **options):
    return DialogueState(slots or {}, turns, **options)
