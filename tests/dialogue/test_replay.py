"""Stories against the policies: what is asked, what is taken from the story, what counts as wrong."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from dialogue.domain import Domain, Form, ResponseVariation, Slot, SlotMapping
from dialogue.replay import gold, parser, replay
from dialogue.training.seen import as_policies_see
from policies.catalog import build
from policies.chain import Chain
from policies.types import FILLED, Entity, Story, StoryStep
from tests.dialogue.desk import DOMAIN, FakeUnderstanding, chain, respond
from tests.policies.worlds import action, form, rule, slot, story, user


def wrong(told: Story, policies: Chain | None = None, domain: Domain = DOMAIN, understand=None) -> list[tuple]:
    checks = replay(told, domain, policies or chain(), understand).checks
    return [(check.step, check.what, check.expected, check.predicted) for check in checks if not check.right]


def asked(told: Story) -> list[str]:
    return [check.expected for check in replay(told, DOMAIN, chain()).checks]


def bot(text: str) -> StoryStep:
    return StoryStep(bot_text=text)


def test_every_action_and_every_listening_is_asked_for():
    told = story(
        "talk", user("weather"), action("action_weather"), action("utter_offer"), user("bye"), action("utter_bye")
    )
    assert asked(told) == ["action_weather", "utter_offer", "action_listen", "utter_bye", "action_listen"]
    assert replay(told, DOMAIN, chain()).passed


def test_a_wrong_action_is_told_and_the_story_goes_on_as_written():
    told = story("talk", user("greet"), action("utter_bye"), user("bye"), action("utter_bye"))
    assert wrong(told) == [(1, "action", "utter_bye", "utter_greet")]


def test_a_bot_that_would_go_on_does_not_listen():
    told = story("talk", user("weather"), action("action_weather"), user("bye"), action("utter_bye"))
    assert wrong(told) == [(2, "action", "action_listen", "utter_offer")]
    assert wrong(story("end", user("weather"), action("action_weather"))) == [
        (2, "action", "action_listen", "utter_offer")
    ]


def test_what_was_said_before_the_first_message_is_not_asked_for():
    told = story("yes", action("utter_offer"), user("greet"), action("utter_greet"))
    assert asked(told) == ["utter_greet", "action_listen"]


def test_a_story_that_begins_with_the_bot_goes_on_as_told():
    stories = [
        story("offer", action("utter_offer"), user("affirm"), action("action_book")),
        story("fine", action("utter_bye"), user("affirm"), action("action_listen")),
        story("yes", user("affirm"), action("utter_fine")),
    ]
    policies = Chain([build("memory")]).fit(stories)
    assert [wrong(told, policies) for told in stories] == [[], [], []]


def test_a_form_is_not_executed_and_ends_when_the_story_says_so():
    told = story(
        "book",
        user("book"),
        action("booking"),
        form("booking"),
        user("inform", "city"),
        action("booking"),
        form(None),
        action("utter_booked"),
    )
    assert wrong(told) == []
    at_once = story("book", user("book"), action("booking"), form("booking"), form(None), action("utter_booked"))
    assert wrong(at_once) == []
    never_ended = story("book", user("book"), action("booking"), form("booking"), action("utter_booked"))
    assert wrong(never_ended) == [(3, "action", "utter_booked", "action_listen")]


def test_a_form_refuses_what_the_story_answers_otherwise_and_goes_on():
    begun = (user("book"), action("booking"), form("booking"))
    assert wrong(story("chat", *begun, user("chat"), action("utter_chat"), action("booking"))) == []
    assert wrong(story("hop", *begun, user("chat"), action("utter_bye"))) == [(4, "action", "utter_bye", "utter_chat")]


@pytest.mark.parametrize(
    ("kind", "options"),
    [("text", {}), ("list", {}), ("bool", {}), ("float", {}), ("categorical", {"values": ("high", "low")})],
)
def test_a_slot_that_is_only_named_is_filled(kind, options):
    domain = Domain(slots={"mood": Slot("mood", kind, **options)}, responses={"utter_greet": respond("Hi.")})
    rules = [rule("moody", user("greet"), action("utter_greet"), condition=[slot("mood", FILLED)])]
    policies = Chain([build("rules")]).fit(rules)
    assert wrong(story("set", slot("mood", FILLED), user("greet"), action("utter_greet")), policies, domain) == []
    assert wrong(story("unset", user("greet"), action("utter_greet")), policies, domain)


def test_slots_begin_with_their_initial_values():
    domain = Domain(slots={"long": Slot("long", "bool", initial_value=True)})
    rules = [rule("faq", user("faq"), action("utter_faq"), condition=[slot("long", True)])]
    policies = Chain([build("rules")]).fit(rules)
    assert wrong(story("ask", user("faq"), action("utter_faq")), policies, domain) == []
    assert wrong(story("ask", slot("long", False), user("faq"), action("utter_faq")), policies, domain)


def test_what_was_not_understood_may_be_a_story_of_its_own():
    policies = chain(rule("lost", user("nlu_fallback"), action("utter_bye")))
    told = story("lost", user("nlu_fallback"), action("utter_bye"), user("greet"), action("utter_greet"))
    assert wrong(told, policies) == []


def test_a_text_is_matched_by_the_stories_own_words():
    spoken = StoryStep(text="I had  that yesterday")
    policies = chain(story("e2e", user("weather"), action("utter_offer"), spoken, action("utter_fine")))
    opening = (action("utter_offer"),)
    told = story(
        "t",
        user("weather"),
        action("action_weather"),
        *opening,
        StoryStep(text="i had that yesterday"),
        action("utter_fine"),
    )
    assert wrong(told, policies)[0][2:] == ("utter_fine", "action_rephrase")
    policies = chain(story("e2e", user("weather"), action("action_weather"), *opening, spoken, action("utter_fine")))
    assert wrong(told, policies) == []
    both = StoryStep(text="I had that yesterday", intent="deny")
    assert (
        wrong(story("t", user("weather"), action("action_weather"), *opening, both, action("utter_fine")), policies)
        == []
    )


def test_words_of_the_bot_are_those_of_a_response():
    assert wrong(story("hi", user("greet"), bot("hello!"))) == []
    assert wrong(story("hi", user("greet"), bot("Hello?"), user("bye"), action("utter_bye")))[0] == (
        1,
        "action",
        "bot: Hello?",
        "utter_greet",
    )


def test_any_wording_of_a_response_will_do():
    domain = Domain(responses={"utter_greet": (ResponseVariation(image="x"), *respond("One."), *respond("Two."))})
    policies = Chain([build("rules")]).fit([rule("hi", user("greet"), action("utter_greet"))])
    assert wrong(story("hi", user("greet"), bot("two.")), policies, domain) == []


def test_an_answer_of_a_retrieval_intent():
    assert wrong(story("wifi", user("faq/wifi"), action("utter_faq"))) == []
    assert gold(user("faq/wifi")).responses["faq"][0].name == "faq/wifi"


def read(text: str, intent: str, *entities: Entity) -> StoryStep:
    return StoryStep(intent=intent, text=text, entities=entities)


def test_texts_are_read_end_to_end():
    understand = parser(FakeUnderstanding(), DOMAIN)
    city = Entity("city", 4, 8, "Oslo", "annotation")
    told = story(
        "talk", read("greet", "greet"), action("utter_greet"), read("bye Oslo", "bye", city), action("utter_bye")
    )
    assert wrong(told, understand=understand) == []
    told = story(
        "talk", read("mumble", "greet"), action("utter_greet"), read("bye Rome", "bye", city), action("utter_bye")
    )
    assert wrong(told, understand=understand) == [
        (1, "action", "utter_greet", "action_rephrase"),
        (2, "entities", "city=Oslo", "city=Rome"),
    ]
    told = story("talk", read("bye", "greet"), action("utter_greet"))
    assert [entry[1] for entry in wrong(told, understand=understand)] == ["intent", "action"]


def test_end_to_end_reads_answers_shortcuts_and_leaves_steps_without_text():
    understand = parser(FakeUnderstanding(), DOMAIN)
    told = story(
        "talk",
        read("faq", "faq/wifi"),
        action("utter_faq"),
        read("/bye", "bye"),
        action("utter_bye"),
        user("greet"),
        action("utter_greet"),
    )
    assert wrong(told, understand=understand) == []
    assert wrong(story("pets", read("faq", "faq/pets"), action("utter_faq")), understand=understand) == [
        (0, "intent", "faq/pets", "faq/wifi")
    ]


def test_entities_of_a_pressed_button_are_in_what_it_sends():
    learned = story(
        "rome", StoryStep(intent="inform", entities=(Entity("city", 0, 0, None, "story"),)), action("utter_chat")
    )
    told = story("pressed", read('/inform{"city": "Rome"}', "inform"), action("utter_chat"))
    assert wrong(told, chain(learned)) == []
    assert wrong(story("bare", read("/inform", "inform"), action("utter_chat")), chain(learned)) != []


def test_entities_count_with_role_and_value():
    rome = Entity("city", 0, 4, "Rome", "x", role="to")
    belief = gold(StoryStep(intent="inform", entities=(rome,)))
    understand = parser(FakeUnderstanding({"Rome": belief}), DOMAIN)
    plain = StoryStep(intent="inform", text="Rome", entities=(Entity("city", 0, 4, "Rome", "y"),))
    checks = replay(story("go", plain), DOMAIN, chain(), understand).checks
    assert [(check.expected, check.predicted) for check in checks if check.what == "entities"] == [
        ("city=Rome", "city to=Rome")
    ]


def test_nothing_of_the_story_is_changed():
    slots = MappingProxyType({"city": "Oslo"})
    told = story("s", StoryStep(slots=slots), user("greet"), action("utter_greet"))
    assert replay(told, DOMAIN, chain()).story is told


@pytest.mark.parametrize(
    ("kind", "options", "told", "done"),
    [
        ("categorical", {"values": (1, 2)}, 2, "2"),
        ("categorical", {"values": (1, 2)}, "__other__", 7),
        ("bool", {}, True, "True"),
        ("float", {"max_value": 9}, 3.0, "3"),
    ],
)
def test_slots_of_a_test_story_are_seen_as_in_a_conversation(kind, options, told, done):
    domain = Domain(slots={"x": Slot("x", kind, **options)})
    policies = Chain([build("memory")]).fit([story("s", user("greet"), action("a"), slot("x", told), action("b"))])
    assert wrong(story("t", user("greet"), action("a"), slot("x", done), action("b")), policies, domain) == []


def test_small_talk_told_elsewhere_is_answered_during_a_form_and_the_form_goes_on():
    ordered = (user("order"), action("trip"), form("trip"))
    ended = (form(None), action("utter_done"), user("thank"), action("utter_welcome"))
    chat = (user("weather"), action("utter_sky"))
    stories = [
        story("order", *ordered, *ended),
        story("sky", user("greet"), action("utter_greet"), *chat, user("thank"), action("utter_welcome")),
        story("sky first", *chat, user("bye"), action("utter_bye")),
        story("thank", user("thank"), action("utter_welcome"), *chat),
    ]
    domain = Domain(forms={"trip": Form("trip", ("city",))})
    kinds = ("forms", "rules", "memory", "transformer", "fallback")
    policies = Chain([build(kind) for kind in kinds]).fit(stories)
    told = story("both", *ordered, *chat, action("trip"), *chat, action("trip"), user("inform"), action("trip"), *ended)
    assert wrong(told, policies, domain) == []


def test_what_entities_fill_is_filled_without_a_word_of_the_story():
    size = Slot("size", "categorical", values=("large", "small"), mappings=(SlotMapping("from_entity", entity="size"),))
    domain = Domain(slots={"size": size})

    def ordered(value: str, answer: str) -> Story:
        said = StoryStep(intent="order", entities=(Entity("size", 0, 0, value, "story"),))
        return story(value, said, action(answer), user("thank"), action(f"{answer}_too"))

    stories = [ordered("large", "utter_large"), ordered("small", "utter_small")]
    policies = Chain([build("memory")]).fit([as_policies_see(told, domain) for told in stories])
    assert [wrong(told, policies, domain) for told in stories] == [[], []]
    assert wrong(ordered("large", "utter_small"), policies, domain) == [
        (1, "action", "utter_small", "utter_large"),
        (3, "action", "utter_small_too", "action_default_fallback"),
    ]
