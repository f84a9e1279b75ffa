"""The learned policy: what it makes of stories, of beliefs, and of what no story has."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from policies.catalog import build
from policies.chain import Chain
from policies.episodes import ELSEWHERE, UNASKED, as_written, learnable, material, situations, varied
from policies.history import points
from policies.situations import SlotSpec, Vocabulary, vocabulary
from policies.transformer import TransformerPolicy
from policies.transformer_forward import features
from policies.transformer_training import Net, Shape
from policies.types import FILLED, Belief, Decision, DialogueState, Kind, Pass, Story, StoryStep, Turn
from tests.policies.worlds import action, belief, form, rule, said, slot, state, story, user

ROOT = Path(__file__).parents[2]
OFFER = (user("sky"), action("utter_sky"), action("utter_offer"))
CANCEL = (user("cancel"), action("utter_sure"))
STORIES = (
    story("sky, yes", *OFFER, user("affirm"), action("action_book"), user("thank"), action("utter_welcome")),
    story("sky, no", *OFFER, user("deny"), action("utter_fine")),
    story("cancel, yes", *CANCEL, user("affirm"), action("action_cancel")),
    story("cancel, no", *CANCEL, user("deny"), action("utter_kept")),
    story("hello", user("greet"), action("utter_greet"), user("thank"), action("utter_welcome")),
)


@pytest.fixture(scope="module")
def fitted() -> TransformerPolicy:
    return TransformerPolicy().fit(STORIES)


def sure(intent: str, mean: float = 1.0) -> Belief:
    return belief((intent, mean))


def does(policy: TransformerPolicy, *turns: Turn, **options) -> str | None:
    verdict = policy.decide(sure(turns[-1].intent or ""), state(*turns, **options))
    return verdict.action if isinstance(verdict, Decision) else None


def walked(policy: TransformerPolicy, told: Story) -> list[tuple[str, str | None]]:
    """What a story does at each place and what the policy does there."""
    found = []
    for point in points(told):
        turns: list[Turn] = []
        for step in point.past:
            if step.intent is not None:
                turns.append(Turn(step.intent, step.entities))
            else:
                last = turns.pop()
                turns.append(Turn(last.intent, last.entities, (*last.actions, step.action or "")))
        found.append((point.action, does(policy, *turns, slots=dict(point.slots), active_form=point.form)))
    return found


def test_every_story_is_recalled(fitted):
    for told in STORIES:
        assert all(wanted == found for wanted, found in walked(fitted, told)), told.name


def test_one_story_is_enough():
    policy = TransformerPolicy().fit(STORIES[:1])
    assert all(wanted == found for wanted, found in walked(policy, STORIES[0]))
    assert does(policy, said("affirm")) is None


def test_the_same_answer_means_another_thing_after_another_question(fitted):
    assert (
        does(fitted, said("greet", "utter_greet"), said("sky", "utter_sky", "utter_offer"), said("affirm"))
        == "action_book"
    )
    assert does(fitted, said("greet", "utter_greet"), said("cancel", "utter_sure"), said("affirm")) == "action_cancel"


@pytest.mark.parametrize("intent", ["affirm", "deny"])
def test_what_no_story_has_is_passed(fitted, intent):
    for turns in (
        [said(intent)],
        [said("greet", "utter_greet"), said(intent)],
        [said("sky", "utter_kept"), said(intent)],
    ):
        verdict = fitted.decide(sure(intent), state(*turns))
        assert isinstance(verdict, Pass)
        assert verdict.reason.startswith("unlike any story: ")


def test_turns_that_no_story_has_are_looked_past(fitted):
    asked = said("sky", "utter_sky", "utter_offer")
    assert does(fitted, asked, said("weather", "utter_weather"), said("affirm")) == "action_book"
    assert does(fitted, asked, said(None, "action_rephrase"), said("affirm")) == "action_book"


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([], "nothing was said yet"),
        ([said("weather")], "no story knows this turn"),
        ([said(None)], "no story knows this turn"),
    ],
)
def test_what_it_cannot_know_it_does_not_look_at(fitted, turns, reason):
    assert fitted.decide(sure("greet"), state(*turns)) == Pass(reason)


def test_it_is_as_sure_as_the_belief_lets_it_be(fitted):
    means = []
    for mean in (1.0, 0.9, 0.7, 0.5, 0.3, 0.1):
        found = {one.name: one for one in fitted.posterior(sure("greet", mean), state(said("greet")))}
        means.append(found["utter_greet"].mean)
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.8
    assert means[2] > 0.4
    assert all(mean < wanted + 0.1 for mean, wanted in zip(means, (1.0, 0.9, 0.7, 0.5, 0.3, 0.1), strict=True))


def test_the_posterior_is_a_distribution_with_intervals(fitted):
    for where in (state(said("greet")), state(said("affirm")), state(said("sky", "utter_sky"))):
        found = fitted.posterior(sure(where.turns[-1].intent), where)
        assert {one.name for one in found} >= {"utter_greet", "action_listen", ELSEWHERE}
        assert sum(one.mean for one in found) == pytest.approx(1)
        assert [one.mean for one in found] == sorted((one.mean for one in found), reverse=True)


def test_the_decision_tells_its_own_posterior(fitted):
    where = state(said("greet"))
    best = fitted.posterior(sure("greet"), where)[0]
    verdict = fitted.decide(sure("greet"), where)
    assert (verdict.kind, verdict.action, verdict.confidence) == (Kind.ACT, "utter_greet", best.mean)
    assert f"utter_greet {best.mean:.2f} (between {best.lower:.2f} and {best.upper:.2f})" in verdict.reason


def test_the_threshold_is_the_line():
    strict = TransformerPolicy(threshold=1.0).fit(STORIES)
    assert isinstance(strict.decide(sure("greet"), state(said("greet"))), Pass)


def test_a_refused_action_is_not_decided_and_silence_is_no_answer(fitted):
    where = state(said("greet"), rejected=frozenset({"utter_greet"}))
    assert isinstance(fitted.decide(sure("greet"), where), Pass)
    everything = frozenset(one.name for one in fitted.posterior(sure("greet"), where))
    refused = fitted.decide(sure("greet"), state(said("greet"), rejected=everything))
    assert refused == Pass("every action of the stories refused to run")
    silent = TransformerPolicy().fit([story("quiet", user("greet"), user("bye"), action("utter_bye"))])
    assert isinstance(silent.decide(sure("greet"), state(said("greet"))), Pass)


def test_it_learns_nothing_from_rules_and_free_words():
    policy = TransformerPolicy().fit([rule("greet", user("greet"), action("utter_greet"))])
    assert policy.decide(sure("greet"), state(said("greet"))) == Pass("there are no stories to learn from")
    spoken = story("e2e", *OFFER, StoryStep(text="why not"), action("action_book"))
    assert [len(told.steps) for told in learnable([spoken, story("bot", StoryStep(bot_text="hi"), user("a"))])] == [3]


def test_slots_and_forms_decide():
    asks = (user("music"), action("utter_likes"), user("inform"), action("action_set"))
    stories = [
        story("yes", *asks, slot("likes", True), action("utter_great")),
        story("no", *asks, slot("likes", False), action("utter_pity")),
        story("named", slot("name", FILLED), user("who"), action("utter_you_are")),
        story("nameless", user("who"), action("utter_ask_name")),
        story("book", user("book"), action("trip"), form("trip"), user("stop"), action("utter_sure")),
        story("stop", user("stop"), action("utter_nothing_to_stop")),
    ]
    policy = TransformerPolicy().fit(stories)
    turns = (said("music", "utter_likes"), said("inform", "action_set"))
    assert does(policy, *turns, slots={"likes": True}) == "utter_great"
    assert does(policy, *turns, slots={"likes": False}) == "utter_pity"
    assert does(policy, said("who"), slots={"name": "Ada"}) == "utter_you_are"
    assert does(policy, said("who"), slots={"name": None}) == "utter_ask_name"
    assert does(policy, said("book", "trip"), said("stop"), active_form="trip") == "utter_sure"
    assert does(policy, said("stop")) == "utter_nothing_to_stop"


def test_what_was_not_understood_has_stories_only_where_they_are_written(fitted):
    lost = story("lost", user("nlu_fallback"), action("utter_lost"))
    verdict = TransformerPolicy().fit([*STORIES, lost]).decide(belief(), state(said(None)))
    assert isinstance(verdict, Pass) or (verdict.kind, verdict.action) == (Kind.FALL_BACK, "utter_lost")


CHAIN = ("forms", "rules", "memory", "transformer", "confidence", "fallback")


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain([build(name) for name in CHAIN]).fit(STORIES)


@pytest.mark.parametrize("intent", ["greet", "affirm", "sky", "deny", "thank"])
@pytest.mark.parametrize("before", [(), (said("sky", "utter_sky", "utter_offer"),), (said("cancel", "utter_sure"),)])
def test_an_uncertain_belief_never_triggers_a_storys_action(intent, before, chain):
    for mean in (0.02, 0.1, 0.3, 0.45):
        seen = belief((intent, mean), ("other", mean / 2))
        decision = chain.decide(seen, state(*before, said(intent)))
        assert decision.kind in (Kind.REPHRASE, Kind.CLARIFY, Kind.FALL_BACK, Kind.HAND_OVER)
        assert decision.policy == "fallback"


def test_the_same_seed_gives_the_same_policy_and_chance_elsewhere_is_left_alone():
    where = state(said("greet"))
    torch.manual_seed(7)
    np.random.seed(7)
    first = TransformerPolicy(epochs=1).fit(STORIES, seed=3)
    assert np.random.randint(10**9) == np.random.RandomState(7).randint(10**9)
    assert torch.rand(1).item() == torch.rand(1, generator=torch.Generator().manual_seed(7)).item()
    again = TransformerPolicy(epochs=1).fit(STORIES, seed=3)
    other = TransformerPolicy(epochs=1).fit(STORIES, seed=4)
    assert first.posterior(sure("greet"), where) == again.posterior(sure("greet"), where)
    assert first.posterior(sure("greet"), where) != other.posterior(sure("greet"), where)


def test_what_is_saved_decides_the_same_without_torch(fitted, tmp_path):
    fitted.save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["transformer.json", "transformer.safetensors"]
    program = (
        "import sys; from pathlib import Path; from policies.transformer import TransformerPolicy as T;"
        "from policies.testing import belief; from policies.types import *;"
        f"p = T().load(Path({str(tmp_path)!r}));"
        "d = p.decide(belief(('greet', 1.0)), DialogueState({}, (Turn('greet'),)));"
        "print(d.action, repr(d.confidence), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    name, confidence, has_torch = done.stdout.split()
    assert (name, has_torch) == ("utter_greet", "False")
    assert float(confidence) == fitted.decide(sure("greet"), state(said("greet"))).confidence


@pytest.mark.parametrize("damage", ["transformer.json", "transformer.safetensors", "version"])
def test_a_damaged_policy_is_named(fitted, damage, tmp_path):
    fitted.save(tmp_path)
    if damage == "version":
        (tmp_path / "transformer.json").write_text('{"version": 99}')
    else:
        (tmp_path / damage).write_bytes(b"{")
    with pytest.raises(ValueError, match=f"{tmp_path}: not a learned policy"):
        TransformerPolicy().load(tmp_path)


def test_the_net_in_numpy_is_the_net_in_torch():
    torch.manual_seed(0)
    net = Net(Shape(dim=16, layers=2), token_width=7, state_width=3, classes=5)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    weights = {name: value.detach().numpy() for name, value in net.state_dict().items()}
    tokens, states = torch.randn(3, 9, 7), torch.randn(3, 9, 3)
    asked = torch.rand(3, 9) < 0.5
    asked[0, :4] = True
    slow = net(tokens, states, asked).detach().numpy()
    np.testing.assert_allclose(features(weights, tokens.numpy(), states.numpy())[asked.numpy()], slow, atol=2e-4)
    np.testing.assert_allclose(features(weights, tokens[0, :4].numpy(), states[0, :4].numpy()), slow[:4], atol=2e-4)


def test_a_decision_takes_a_moment(fitted):
    where, seen = state(*[said("sky", "utter_sky", "utter_offer")] * 4, said("affirm")), sure("affirm")
    fitted.decide(seen, where)
    taken = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(20):
            fitted.decide(seen, where)
        taken.append((time.process_time() - start) / 20)
    assert min(taken) < 0.002


def test_long_stories_are_seen_as_far_as_the_memory_reaches():
    steps = [step for number in range(8) for step in (user(f"i{number}"), action(f"a{number}"))]
    data = material([story("long", *steps)], 3)
    assert [len(episode.moves) for episode in data.episodes] == [6] * 6
    asked = [int((episode.targets != UNASKED).sum()) for episode in data.episodes]
    assert asked == [6, 2, 2, 2, 2, 2]
    assert [episode.opens for episode in data.episodes] == [True] + [False] * 5
    ten = material([story(str(number), *steps) for number in range(10)], 3)
    assert len(ten.episodes) == 10 * len(data.episodes)


def test_variations_are_what_they_say():
    data = material(learnable(STORIES), 5)
    rng = np.random.default_rng(0)
    elsewhere = data.classes.index(ELSEWHERE)
    count = len(data.episodes)
    usual = {(episode.moves[:2].tolist()[0]) for episode in data.episodes}
    for _ in range(50):
        batch = varied(data, data.episodes, rng)
        assert (batch.targets[:count] != elsewhere).all()
        assert ((batch.targets[count:] != UNASKED).sum(axis=1) == 1).all()
        assert set(batch.targets[count:][batch.targets[count:] != UNASKED]) == {elsewhere}
        intents = batch.tokens[..., : len(data.words.intents) + 1]
        sums = intents.sum(axis=-1)
        assert np.allclose(sums[(sums > 0.5)], 1, atol=1e-5)
        assert ((batch.sure > 0.09) & (batch.sure <= 1)).all()
    assert usual <= data.openers


def test_a_situation_knows_what_was_said_done_and_done_before():
    data = material(learnable(STORIES[:1]), 5)
    batch, words = as_written(data), data.words
    width, size = len(words.actions) + 1, words.token_width
    row = situations(data, batch)[0]
    assert row.shape[-1] == words.situation_width
    sky, thank = (words.user({name: 1.0}, ()) for name in ("sky", "thank"))
    assert (row[1, :size] == sky).all()
    assert (row[5, :size] == thank).all()
    assert words.actions[int(row[1, size : size + width].argmax())] == "utter_sky"
    assert row[3, size : size + width].sum() == 0
    assert words.actions[int(row[3, size + width : size + 2 * width].argmax())] == "utter_offer"


def test_slots_as_numbers():
    words = vocabulary([slot("n", 2), slot("n", 4.0), slot("b", True), slot("c", "Red"), slot("t", FILLED)])
    specs = {spec.name: spec for spec in words.slots}
    assert specs == {
        "n": SlotSpec("n", (), (2.0, 4.0)),
        "b": SlotSpec("b", ("true",)),
        "c": SlotSpec("c", ('"red"',)),
        "t": SlotSpec("t"),
    }
    assert specs["n"].numbers(3) == [1, 0.5]
    assert specs["n"].numbers(99) == [1, 1]
    assert specs["n"].numbers("x") == [1, 0]
    assert specs["b"].numbers(True) == [1, 1]
    assert specs["b"].numbers(False) == [1, 0]
    assert specs["c"].numbers("RED") == [1, 1]
    assert specs["t"].numbers([]) == [0]
    assert Vocabulary.from_dict(words.as_dict()) == words


def test_what_it_infers_beyond_its_stories_is_right_and_said_with_doubt():
    """Questions about twenty things: yes does the thing, no is fine; of ten no story says what a no does."""

    def told(thing: int, answer: str) -> Story:
        end = action(f"action_do_{thing}") if answer == "affirm" else action("utter_fine")
        return story(f"{thing} {answer}", user(f"want_{thing}"), action(f"utter_ask_{thing}"), user(answer), end)

    stories = [told(thing, answer) for thing in range(20) for answer in ("affirm", "deny")]
    held = stories[1::4]
    policy = TransformerPolicy().fit([one for one in stories if one not in held])
    right, claimed = [], []
    for one in held:
        turns = [said(one.steps[0].intent, one.steps[1].action), said("deny")]
        best = next(found for found in policy.posterior(sure("deny"), state(*turns)) if found.name != ELSEWHERE)
        right.append(best.name == "utter_fine")
        claimed.append(best.mean)
    assert np.mean(right) > 0.7
    assert np.mean(claimed) < np.mean(right)
    known = state(said("want_1", "utter_ask_1"), said("deny"))
    assert policy.posterior(sure("deny"), known)[0].mean > np.mean(claimed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_history": 0}, "max_history"),
        ({"threshold": 2}, "threshold"),
        ({"dim": 6}, "multiple of 4"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        TransformerPolicy(**options)


def test_the_posterior_of_nothing_is_refused(fitted):
    with pytest.raises(ValueError, match="a turn that they know"):
        fitted.posterior(belief(), DialogueState({}, ()))
