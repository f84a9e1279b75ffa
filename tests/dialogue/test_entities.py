"""Entities from patterns, tables and synonyms."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.entities import EntityTables, find_entities
from encoders.tokenizer import tokenize


def found(text: str, tables: EntityTables) -> list[tuple[str, str, object]]:
    """What is found: entity, the stretch of text, the value."""
    entities = find_entities(tokenize(text), tables)
    return [(entity.entity, text[entity.start : entity.end], entity.value) for entity in entities]


TABLES = EntityTables(
    regexes={"ticket": (r"\bKH-\d{4}\b", r"#\d+"), "number": (r"\d+",)},
    lookups={"city": ("Paris", "New York", "York", "北京"), "food": ("C++", "Müsli")},
    synonyms={"nyc": "New York", "paris": "Paris (FR)"},
)


def test_patterns_and_tables_find_what_they_name_in_order() -> None:
    assert found("From paris with KH-4821 and #7", TABLES) == [
        ("city", "paris", "Paris (FR)"),
        ("ticket", "KH-4821", "KH-4821"),
        ("ticket", "#7", "#7"),
    ]


def test_the_longer_find_wins_and_finds_do_not_overlap() -> None:
    assert found("in New York or York", TABLES) == [("city", "New York", "New York"), ("city", "York", "York")]
    assert found("KH-4821", TABLES) == [("ticket", "KH-4821", "KH-4821")]
    tables = EntityTables(lookups={"short": ("a b",), "long": ("b c d",)})
    assert found("a b c d", tables) == [("long", "b c d", "b c d")]


def test_of_finds_of_one_length_the_earlier_wins() -> None:
    tables = EntityTables(lookups={"late": ("b c",), "early": ("a b",)})
    assert found("a b c", tables) == [("early", "a b", "a b")]


@pytest.mark.parametrize("text", ["Parisian", "comparis", "Newyork", "Müslis", "xC++"])
def test_an_entry_does_not_match_within_a_longer_word(text: str) -> None:
    assert found(text, TABLES) == []


@pytest.mark.parametrize(
    ("text", "stretch"),
    [("I like C++.", "C++"), ("C++", "C++"), ("我在Paris工作", "Paris"), ("我住在北京市", "北京"), ("müsli!", "müsli")],
)
def test_an_entry_matches_beside_marks_and_beside_scripts_without_spaces(text: str, stretch: str) -> None:
    assert [said for _, said, _ in found(text, TABLES)] == [stretch]


def test_entities_say_who_found_them_and_claim_no_confidence() -> None:
    first, second = find_entities(tokenize("Paris 12"), TABLES)
    assert (first.extractor, first.confidence) == ("LookupEntityExtractor", None)
    assert (second.extractor, second.confidence) == ("RegexEntityExtractor", None)


def test_patterns_that_match_nothing_find_nothing() -> None:
    tables = EntityTables(regexes={"empty": ("x*",)}, lookups={"none": (), "blank": ("",)})
    assert found("hello", tables) == []


def test_tables_come_back_from_json() -> None:
    again = EntityTables.from_dict(json.loads(json.dumps(TABLES.as_dict())))
    assert again == TABLES
    assert found("Paris #1", again) == found("Paris #1", TABLES)
    with pytest.raises(KeyError):
        EntityTables.from_dict({"regexes": {}})


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=30), st.lists(st.text(min_size=1, max_size=4), max_size=5))
def test_any_text_and_any_table_give_ordered_stretches_that_do_not_overlap(text: str, entries: list[str]) -> None:
    entities = find_entities(tokenize(text), EntityTables(lookups={"any": tuple(entries)}))
    ends = [0, *(entity.end for entity in entities)]
    assert all(end <= entity.start < entity.end <= len(text) for end, entity in zip(ends, entities, strict=False))
