"""Labelled sentences from JSON-lines, CSV and YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialogue.errors import ProjectError
from dialogue.training.tables import read_examples


def pairs(folder: Path, name: str, text: str) -> list[tuple[str, str, int]]:
    path = folder / name
    path.write_bytes(text.encode())
    return [(example.text, example.intent, example.where.line) for example in read_examples(path)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"text": "hi, you", "intent": "greet", "id": 3}\n\n{"text": "去", "intent": "go"}\n'),
        ("b.csv", 'text,intent\n"hi, you",greet\n去,go\n'),
        ("c.csv", '"hi, you",greet\n\n去,go\n'),
        ("d.csv", 'id,Intent,Text\n1,greet,"hi, you"\n2,go,去\n'),
        ("e.tsv", "hi, you\tgreet\r\n去\tgo\r\n"),
        ("f.yml", "nlu:\n- intent: greet\n  examples: |\n    - hi, you\n- intent: go\n  examples: |\n    - 去\n"),
    ],
)
def test_every_format_gives_the_same(tmp_path: Path, name: str, text: str) -> None:
    assert [(text, intent) for text, intent, _ in pairs(tmp_path, name, text)] == [("hi, you", "greet"), ("去", "go")]


def test_places_are_lines(tmp_path: Path) -> None:
    text = 'text,intent\n"two\nlines",a\nnext,b\n'
    assert pairs(tmp_path, "a.csv", text) == [("two\nlines", "a", 2), ("next", "b", 4)]
    assert pairs(tmp_path, "a.jsonl", '\n{"text": "", "intent": "a"}') == [("", "a", 2)]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.jsonl", '{"text": "hi"}', "a.jsonl:1:1: expected an object such as"),
        ("a.jsonl", '{"text": "hi", "intent": "a"}\n{"text": "hi",}', "a.jsonl:2:15: not JSON"),
        ("a.jsonl", '{"text": "\\ud83d", "intent": "a"}', "a.jsonl:1:1: not usable as JSON"),
        ("a.jsonl", '{"text": 3, "intent": "a"}', "text is no text"),
        ("a.jsonl", '{"text": "x", "intent": " "}', "the intent is empty"),
        ("a.jsonl", "[1]", "got list"),
        ("a.jsonl", '{"text": "x", "intent": "a", "tokens": ["x"], "tags": []}', "as long as each other"),
        ("a.jsonl", '{"text": "x", "intent": "a", "tags": ["O"]}', "expected tokens and tags to be lists of texts"),
        ("a.jsonl", '{"text": "x", "intent": "a", "tokens": ["y"], "tags": ["O"]}', "token 'y' is not in the text"),
        ("a.jsonl", '{"text": "x", "intent": "a", "tokens": ["x"], "tags": ["city"]}', "expected O, B-<entity>"),
        ("a.jsonl", "", "no examples in the file"),
        ("a.csv", "a,b,c\n", "a.csv:1:1: expected a header with text and intent, or two columns; got 3"),
        ("a.csv", "text,intent\nhi\n", "a.csv:2:1: expected a text and an intent"),
        ("a.csv", 'text,intent\nok,a\n"hi', "a.csv:3:1: not CSV"),
        ("a.txt", "hi", "unknown kind of file; expected one of .jsonl"),
        ("a.yml", "nlu: 3", "nlu: expected a list"),
    ],
)
def test_mistakes_have_their_place(tmp_path: Path, name: str, text: str, expected: str) -> None:
    with pytest.raises(ProjectError) as raised:
        pairs(tmp_path, name, text)
    assert expected in str(raised.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="cannot be read"):
        read_examples(tmp_path / "gone.csv")
    (tmp_path / "latin.csv").write_bytes(b"text,intent\ncaf\xe9,a\n")
    with pytest.raises(ProjectError, match=r"latin.csv:2:4: byte 0xe9 \(byte 15 of the file\)"):
        read_examples(tmp_path / "latin.csv")
