"""Which story a conversation follows."""

import pytest

from policies.memory import MemoryPolicy
from policies.types import FILLED, Decision, Kind, StoryStep
from tests.policies.worlds import action, belief, form, said, slot, state, story, user

SURE = belief(("affirm", 0.8))


def decide(stories, where, **options):
    return MemoryPolicy(**options).fit(stories).decide(SURE, where)


def does(stories, where, **options):
    verdict = decide(stories, where, **options)
    return verdict.action if isinstance(verdict, Decision) else None


SKY = story("sky", user("sky"), action("utter_sky"), action("utter_offer"), user("affirm"), action("action_book"))
CANCEL = story("cancel", user("cancel"), action("utter_sure"), user("affirm"), action("action_cancel"))


def test_a_story_is_followed_to_its_end():
    stories = [SKY, CANCEL]
    asked = said("sky", "utter_sky", "utter_offer")
    assert does(stories, state(said("sky"))) == "utter_sky"
    assert does(stories, state(said("sky", "utter_sky"))) == "utter_offer"
    assert does(stories, state(asked)) == "action_listen"
    assert does(stories, state(asked, said("affirm"))) == "action_book"
    assert does(stories, state(said("cancel", "utter_sure"), said("affirm"))) == "action_cancel"
    assert does(stories, state(asked, said("affirm", "action_book"))) == "action_listen"


def test_confidence_is_the_intents():
    verdict = decide([SKY], state(said("sky")))
    assert (verdict.kind, verdict.confidence) == (Kind.ACT, 0.8)
    assert verdict.reason == "story 'sky' (stories.yml:1) answers sky"


def test_what_follows_from_an_action_is_certain():
    verdict = decide([SKY], state(said("sky", "utter_sky")))
    assert (verdict.action, verdict.confidence) == ("utter_offer", 1.0)
    assert verdict.reason == "follows from utter_sky: story 'sky' (stories.yml:1) says so"
    assert decide([SKY], state(said("sky", "utter_sky", "utter_offer"))).confidence == 1.0


def test_older_turns_are_forgotten_until_a_story_fits():
    assert does([SKY, CANCEL], state(said("cancel", "utter_sure"), said("sky"))) == "utter_sky"


def test_the_middle_of_a_story_is_no_beginning():
    assert does([SKY], state(said("affirm"))) is None
    assert does([SKY], state(said("cancel", "utter_else"), said("affirm"))) is None


def test_turns_that_no_story_knows_are_looked_past():
    asked = said("sky", "utter_sky", "utter_offer")
    between = (said("faq", "utter_faq"), said(None, "action_rephrase"))
    assert does([SKY], state(asked, *between, said("affirm"))) == "action_book"
    assert does([SKY], state(asked, said("faq"))) is None


def test_only_the_last_turns_of_a_long_story_must_fit():
    steps = [step for index in range(6) for step in (user(f"i{index}"), action(f"a{index}"))]
    turns = [said(f"i{index}", f"a{index}") for index in range(5)]
    assert does([story("long", *steps)], state(*turns[3:], said("i5")), max_history=3) == "a5"
    assert does([story("long", *steps)], state(*turns[4:], said("i5")), max_history=3) is None
    assert does([story("long", *steps)], state(*turns[1:], said("i5")), max_history=6) is None


def test_the_longest_story_wins():
    short = story("short", user("affirm"), action("utter_ok"))
    assert does([short, SKY], state(said("sky", "utter_sky", "utter_offer"), said("affirm"))) == "action_book"
    assert does([short, SKY], state(said("affirm"))) == "utter_ok"


def test_slots_tell_stories_apart():
    stories = [
        story("likes", user("start"), action("ask"), slot("likes", True), action("utter_great")),
        story("dislikes", user("start"), action("ask"), slot("likes", False), action("utter_bye")),
        story("named", user("who"), slot("name", FILLED), action("utter_name")),
        story("nameless", user("who"), action("utter_who")),
    ]
    assert does(stories, state(said("start", "ask"), slots={"likes": True})) == "utter_great"
    assert does(stories, state(said("start", "ask"), slots={"likes": False})) == "utter_bye"
    assert does(stories, state(said("start", "ask"), slots={"likes": None})) is None
    assert does(stories, state(said("who"), slots={"name": "Ada"})) == "utter_name"
    assert does(stories, state(said("who"))) == "utter_who"


def test_of_stories_that_ask_for_as_much_the_one_that_leaves_fewer_filled_slots_unsaid_wins():
    plain = story("plain", user("affirm"), slot("other", None), action("utter_when"))
    timed = story("timed", user("affirm"), slot("time", True), action("utter_remind"))
    for stories in ([plain, timed], [timed, plain]):
        assert does(stories, state(said("affirm"), slots={"time": True, "other": None})) == "utter_remind"
        assert does(stories, state(said("affirm"), slots={"time": None, "other": None})) == "utter_when"
        assert does(stories, state(said("affirm"), slots={"time": True, "other": 1})) == "utter_remind"


def test_a_story_holds_its_forms():
    stories = [
        story(
            "stop",
            user("book"),
            action("booking"),
            form("booking"),
            user("stop"),
            action("utter_ask_continue"),
            user("deny"),
            action("action_deactivate_loop"),
            form(None),
        )
    ]
    left = (said("book", "booking"), said("stop"))
    assert does(stories, state(*left, active_form="booking")) == "utter_ask_continue"
    assert does(stories, state(*left)) is None


def test_during_a_form_that_no_story_names_stories_go_as_if_there_were_none():
    bye = story("bye", user("bye"), action("utter_bye"))
    turns = (said("book", "booking"), said("bye"))
    assert does([bye], state(*turns, active_form="booking", rejected=frozenset(["booking"]))) == "utter_bye"
    named = story("book", user("book"), action("booking"), form("booking"))
    assert does([bye, named], state(*turns, active_form="booking")) is None


def test_end_to_end_texts():
    sushi = story("sushi", user("hungry"), action("suggest"), StoryStep(text="Sushi, always!"), action("search"))
    asked = said("hungry", "suggest")
    verdict = decide([sushi], state(asked, said("anything", text="sushi,  always!")))
    assert (verdict.action, verdict.confidence) == ("search", 1.0)
    assert "these very words" in verdict.reason
    assert does([sushi], state(asked, said("anything", text="never"))) is None


def test_a_story_ends_at_free_words_of_the_bot():
    free = story("free", user("greet"), action("utter_greet"), StoryStep(bot_text="Hm."), action("utter_more"))
    assert does([free], state(said("greet"))) == "utter_greet"
    assert does([free], state(said("greet", "utter_greet"))) is None


def test_a_history_of_no_turns_is_refused():
    with pytest.raises(ValueError, match="max_history"):
        MemoryPolicy(max_history=0)


def test_turns_that_went_back_to_a_form_are_looked_past_where_no_story_fits():
    ends = story("ends", user("order"), action("form"), form("form"), form(None), action("utter_done"))
    chat = story("chat", user("greet"), action("utter_greet"))
    told = story(
        *("told", user("order"), action("form"), form("form"), user("greet"), action("utter_greet")),
        *(action("form"), form(None), action("utter_other")),
    )
    asked, strayed, filled = said("order", "form"), said("greet", "utter_greet", "form"), said("greet", "form")
    assert does([ends, chat], state(asked, strayed, strayed)) == "utter_done"
    assert does([ends, chat, told], state(asked, strayed)) == "utter_other", "a story that tells of it comes first"
    assert does([ends, chat], state(asked, strayed), augmented=False) == "utter_done"
    rule_only = said("weather", "utter_sky", "form")
    assert does([ends], state(asked, rule_only)) == "utter_done", "what is asked is no matter of stories"
    longer = story("longer", *ends.steps, action("utter_more"))
    assert does([longer], state(asked, said("weather", "utter_sky", "form", "utter_done"))) == "utter_more"
    assert does([ends], state(asked, said("weather", "utter_sky"))) is None
    assert does([ends, chat], state(strayed)) is None, "what begins a form went back to none"
    assert does([ends, chat], state(asked, filled)) is None


def test_a_story_may_begin_with_what_the_bot_says_first():
    offered = story("offer", action("utter_offer"), user("affirm"), action("action_book"))
    meant = story("yes", user("affirm"), action("utter_fine"))
    for options in ({}, {"augmented": False}):
        assert does([meant, offered], state(said("affirm"), opening=("utter_offer",)), **options) == "action_book"
        assert does([meant, offered], state(said("affirm")), **options) == "utter_fine"
        assert does([meant], state(said("affirm"), opening=("utter_offer",)), **options) == "utter_fine"
        assert does([offered], state(said("affirm"), opening=("utter_greet",)), **options) is None
    asked = said("sky", "utter_sky", "utter_offer")
    assert does([SKY], state(asked, said("affirm"), opening=("utter_greet",)), augmented=False) == "action_book"
    short = {"augmented": False, "max_history": 1}
    where = state(said("greet", "utter_greet"), said("affirm"), opening=("utter_offer",))
    assert does([offered, story("hello", user("greet"), action("utter_greet"))], where, **short) is None


def test_without_augmentation_nothing_that_stories_know_is_forgotten():
    asked = said("sky", "utter_sky", "utter_offer")
    exact = {"augmented": False}
    assert does([SKY], state(asked, said("affirm")), **exact) == "action_book"
    assert does([SKY], state(said("bye", "utter_bye"), asked, said("affirm"))) == "action_book"
    assert does([SKY], state(said("bye", "utter_bye"), asked, said("affirm")), **exact) == "action_book"
    assert does([SKY], state(asked, said("bye", "utter_bye"), said("affirm")), **exact) == "action_book"
    assert does([SKY, CANCEL], state(said("cancel", "utter_sure"), asked, said("affirm"))) == "action_book"
    assert does([SKY, CANCEL], state(said("cancel", "utter_sure"), asked, said("affirm")), **exact) is None
    short = {"augmented": False, "max_history": 1}
    assert does([SKY], state(said("bye", "utter_bye"), said("sky")), **short) == "utter_sky"
    assert does([SKY], state(said("cancel", "utter_sure"), said("affirm")), **short) == "action_book"
