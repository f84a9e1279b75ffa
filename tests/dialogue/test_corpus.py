"""What a bot's data come to as texts, classes, answers and entity tables."""

import pytest

from dialogue.training.corpus import Corpus, build_corpus, readable, remembered, with_hints
from dialogue.training.data import read_data

DATA = """version: "3.1"
intents:
  - greet
  - farewell_now: {description: "takes leave"}
  - silent: {description: "says nothing"}
  - faq
entities: [city, code]
responses:
  utter_faq/wifi: [{text: "The wifi is free."}, {text: "It is free."}]
  utter_faq/own_food: [{text: "Eat what you like."}]
nlu:
  - {intent: greet, examples: "- hello\\n- hi\\n- hello\\n"}
  - {intent: farewell_now, examples: "- bye\\n- leave for [Oslo](city)\\n- leave for [the capital]{\\"entity\\": \\"city\\", \\"value\\": \\"Oslo\\"}\\n"}
  - {intent: faq/wifi, examples: "- wifi?\\n"}
  - {intent: faq/own_food, examples: "- may we eat here\\n"}
  - {lookup: city, examples: "- Rome\\n"}
  - {lookup: river, examples: "- Rhine\\n"}
  - {regex: code, examples: "- \\\\b[A-Z]{2}\\\\d{4}\\\\b\\n"}
"""  # noqa: E501


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    file = tmp_path_factory.mktemp("data") / "all.yml"
    file.write_text(DATA, "utf-8")
    return build_corpus(read_data([file]))


def test_every_example_is_there_once(corpus):
    taught = [pair for *pair, hint in zip(corpus.texts, corpus.classes, corpus.hints, strict=True) if not hint]
    assert taught == [
        ["hello", "greet"],
        ["hi", "greet"],
        ["bye", "farewell_now"],
        ["leave for Oslo", "farewell_now"],
        ["leave for the capital", "farewell_now"],
        ["wifi?", "faq/wifi"],
        ["may we eat here", "faq/own_food"],
    ]


def test_every_class_has_a_hint_its_description_or_its_name(corpus):
    hints = {name: text for text, name, hint in zip(corpus.texts, corpus.classes, corpus.hints, strict=True) if hint}
    assert hints == {
        "greet": "greet",
        "farewell_now": "takes leave",
        "silent": "says nothing",
        "faq/wifi": "wifi",
        "faq/own_food": "own food",
    }
    assert sum(corpus.hints) == len(hints)


def test_answers_are_the_first_wordings(corpus):
    assert corpus.answers == {"faq/wifi": "The wifi is free.", "faq/own_food": "Eat what you like."}


def test_entities_come_from_lookups_and_regexes(corpus):
    assert corpus.entities.lookups == {"city": ("Rome",)}
    assert corpus.entities.regexes == {"code": (r"\b[A-Z]{2}\d{4}\b",)}
    assert corpus.entities.synonyms["the capital"] == "Oslo"


def test_what_is_annotated_is_kept_beside_its_text_and_can_be_remembered(corpus):
    (marked,) = corpus.annotated[corpus.texts.index("leave for Oslo")]
    assert (marked.entity, marked.start, marked.end) == ("city", 10, 14)
    assert len(corpus.annotated) == len(corpus.texts)
    assert remembered(corpus).lookups == {"city": ("Rome", "Oslo", "the capital")}


def test_every_table_and_regex_may_help_to_find_entities(corpus):
    assert [name for name, _ in corpus.patterns] == ["code", "city", "river"]


def test_a_plain_set_of_sentences_has_hints_too():
    assert with_hints(["hi"], ["greet"], {}) == Corpus(("hi", "greet"), ("greet", "greet"), (False, True))


@pytest.mark.parametrize(
    ("name", "words"), [("faq/own_food", "own food"), ("open-hours", "open hours"), ("问好", "问好"), ("_", "_")]
)
def test_names_are_read_as_words(name, words):
    assert readable(name) == words
