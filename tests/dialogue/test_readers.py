"""The readers of training data: examples, synonyms, stories, rules, places, every Rasa example bot."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialogue.config import Config
from dialogue.errors import ProjectError, Where
from dialogue.training.data import TrainingData, collect_data, read_data
from dialogue.training.nodes import Report
from dialogue.training.validate import validate
from dialogue.training.yaml import parse_yaml, resolve
from policies.types import FILLED, Entity

NLU = """\
version: "3.1"
nlu:
- intent: greet
  metadata: {tone: kind}
  examples: |
    - hi

    -   hello there
    - no
- intent: book
  examples:
  - text: |
      book [two](people:2) seats
    metadata: formal
  - "from [Rome]{"
- intent: fly
  examples: |
    - to [NYC][{"entity": "city", "role":"to", "value":"New York"}, {"entity":"code"}], [Rome]{"entity":"x","group":"1"}
    - read [this] please
- synonym: New York
  examples: |
    - big apple
- regex: zip
  examples: |
    - \\d{5}
- lookup: city
  examples: |
    - Rome
    - Paris
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def read(folder: Path, **files: str) -> TrainingData:
    return read_data([write(folder, **files)])


def complaints(folder: Path, **files: str) -> list[str]:
    _, problems = collect_data([write(folder, **files)])
    return [str(problem).removeprefix(f"{folder}/") for problem in problems]


def test_examples_and_their_places(tmp_path: Path) -> None:
    data = read(tmp_path, nlu=NLU.replace('  - "from [Rome]{"\n', ""))
    file = str(tmp_path / "nlu.yml")
    assert [(one.text, one.intent, one.where) for one in data.examples] == [
        ("hi", "greet", Where(file, 6, 7)),
        ("hello there", "greet", Where(file, 8, 9)),
        ("no", "greet", Where(file, 9, 7)),
        ("book two seats", "book", Where(file, 13, 7)),
        ("to NYC, Rome", "fly", Where(file, 17, 7)),
        ("read [this] please", "fly", Where(file, 18, 7)),
    ]
    assert data.examples[0].metadata == {"intent": {"tone": "kind"}}
    assert data.examples[3].metadata == {"example": "formal"}


def test_entities_in_every_form(tmp_path: Path) -> None:
    data = read(tmp_path, nlu=NLU.replace('  - "from [Rome]{"\n', ""))
    assert data.examples[3].entities == (Entity("people", 5, 8, "2", "annotation"),)
    assert data.examples[4].entities == (
        Entity("city", 3, 6, "New York", "annotation", role="to"),
        Entity("code", 3, 6, "NYC", "annotation"),
        Entity("x", 8, 12, "Rome", "annotation", group="1"),
    )
    assert all(
        example.text[entity.start : entity.end] in ("two", "Rome", "NYC")
        for example in data.examples
        for entity in example.entities
    )


def test_brackets_that_are_no_annotation_stay_text(tmp_path: Path) -> None:
    text = "nlu:\n- intent: a\n  examples: |\n    - see [this]( or [Rome](city) now\n"
    (example,) = read(tmp_path, nlu=text).examples
    assert (example.text, example.entities) == (
        "see [this]( or Rome now",
        (Entity("city", 15, 19, "Rome", "annotation"),),
    )
    assert complaints(tmp_path) == [
        "nlu.yml:4:11: warning: no entity after [this]: expected (type) or (type:value); kept as text"
    ]


def test_synonyms_regexes_lookups(tmp_path: Path) -> None:
    data = read(tmp_path, nlu=NLU.replace('  - "from [Rome]{"\n', ""))
    assert data.synonyms == {"two": "2", "NYC": "New York", "big apple": "New York"}
    assert [(one.name, one.pattern) for one in data.regexes] == [("zip", r"\d{5}")]
    assert data.lookups == {"city": ("Rome", "Paris")}


def test_a_broken_annotation_has_its_place(tmp_path: Path) -> None:
    (found,) = complaints(tmp_path, nlu=NLU)
    assert found.startswith("nlu.yml:15:11: broken entity annotation after [Rome]: expected JSON such as {")


@pytest.mark.parametrize("text", ["- a\n- b\n", "hello\n"])
def test_what_is_no_mapping_is_passed_over_in_folders_and_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "names.yml"
    file.write_text(text, encoding="utf-8")
    told = f"{file}:1:1: {{}}expected a mapping (`key: value`) at the top level of the file"
    assert [str(problem) for problem in collect_data([tmp_path])[1]] == [told.format("warning: ") + "; passed over"]
    assert [str(problem) for problem in collect_data([file])[1]] == [told.format("")]


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("flows", "flows of Rasa Pro are not run"),
        ("test_cases", "end-to-end tests are what `starfold test e2e` runs"),
        ("lookup", "it belongs into an item of the list `nlu`"),
        ("templates", "they are called `responses`"),
    ],
)
def test_sections_that_belong_elsewhere(tmp_path: Path, key: str, advice: str) -> None:
    (told,) = complaints(tmp_path, all=f"{key}: [a]\n")
    assert told.startswith(f"all.yml:1:1: warning: section '{key}' is passed over: {advice}")


def test_groups_may_be_numbers_and_other_keys_are_passed_over(tmp_path: Path) -> None:
    text = """\
entities: [size: {groups: [1, two], roles: 3}]
slots: {size: {type: text, mappings: [{type: from_entity, entity: size, group: 1}]}}
nlu:
- intent: a
  examples: |
    - a [small]{"entity": "size", "group": 1, "confidence": 0.9} one
stories:
- {story: s, steps: [{intent: a, entities: [{size: small, group: 1}]}]}
"""
    (tmp_path / "all.yml").write_text(text, encoding="utf-8")
    data, problems = collect_data([tmp_path])
    told = "warning: entity annotation after [small]: unknown key 'confidence', passed over"
    assert [str(problem).removeprefix(f"{tmp_path}/") for problem in problems] == [f"all.yml:6:9: {told}"]
    assert (data.domain.entities["size"].groups, data.domain.entities["size"].roles) == (("1", "two"), ("3",))
    assert data.domain.slots["size"].mappings[0].group == "1"
    assert data.examples[0].entities[0].group == "1"
    assert data.stories[0].steps[0].entities[0].group == "1"


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        ('{"entitty": "city"}', "unknown key 'entitty'; did you mean 'entity'?"),
        ('{"role": "to"}', "the entity has no name"),
        ('{"entity": "a", "role": 1.5}', "role must be a text, got 1.5"),
        ('{"entity": "a", "group": true}', "group must be a text, got True"),
        ('{"entity": "a", "value": NaN}', "expected JSON"),
        ('{"entity": "\\ud800"}', "expected JSON"),
    ],
)
def test_annotations_that_are_refused(tmp_path: Path, mark: str, expected: str) -> None:
    found = complaints(tmp_path, nlu=f"nlu:\n- intent: a\n  examples: |\n    - go [to]{mark} now\n")
    assert len(found) == 1
    assert found[0].startswith("nlu.yml:4:10: broken entity annotation after [to]: ")
    assert expected in found[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nlu:\n- intent: a\n  exmaples: x", "2:3: warning: intent 'a' has no examples"),
        ("nlu:\n- intent: a\n  exmaples: x", "3:3: an nlu item: unknown key 'exmaples'; did you mean 'examples'?"),
        ("nlu:\n- intent: a\n  lookup: b\n  examples: '- x'", "2:3: an nlu item: expected one of intent"),
        ("nlu:\n- intent: a\n  examples: |\n    - x\n    y", "5:5: warning: ignored, because it does not begin with"),
        ("nlu:\n- intent: a\n  examples: |\n    - x\n    -  ", "5:5: warning: the example is empty"),
        ("nlu:\n- intent: 5\n  examples: '- x'", "2:11: intent: expected a text, got the number 5; put it in quotes"),
        ("nlu:\n- intent: true\n  examples: '- x'", "got the truth value true"),
        ("nlu: greet", "1:6: nlu: expected a list, got the text 'greet'"),
        ("nlu:\n- regex: a\n  examples: |\n    - '('", "4:7: regex 'a': \"'('\" is not a regular expression"),
        ("nlus: []", "1:1: warning: unknown section 'nlus', passed over; did you mean 'nlu'?"),
        ("version: '2.0'", "1:10: warning: version: expected \"3.1\", got the text '2.0'"),
        ("a: &a [*a]", "1:8: alias *a refers to nothing"),
        (
            "nlu:\n- intent: a\n  examples: |\n    - [x](t:u)\n    - [x](t:v)",
            "5:7: warning: 'x' is a synonym of 'v' here",
        ),
        ("x: " + "[" * 70 + "]" * 70, "nested deeper than 64 levels"),
        ("a: 1\n---\nb: 2", "2:1: a second document"),
        ("? [a]\n: b", "1:3: a key must be a text"),
    ],
)
def test_mistakes_have_their_place(tmp_path: Path, text: str, expected: str) -> None:
    found = complaints(tmp_path, it=text)
    assert any(line.startswith("it.yml:") and expected in line for line in found), found


def test_aliases_cannot_explode(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "aliases counted each time" in complaints(tmp_path, it="\n".join(lines))[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("yes", "yes"), ("null", None), ("", None), ("~", None), ("true", True),
        ("12", 12), ("-3", -3), ("0o17", 15), ("0x1F", 31), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0),
        ("False", False), ("1_000", "1_000"),
        ("010", 10), ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("+", "+"), ("9" * 400, float("inf")),
        ("0b1", "0b1"),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_line_separators_inside_a_text_are_text(tmp_path: Path) -> None:
    data = read(tmp_path, nlu="nlu:\n- intent: a\n  examples: |\n    - one\u2028two\x85three\n    - 你好\n")
    assert [(one.text, one.where.line) for one in data.examples] == [("one\u2028two\x85three", 4), ("你好", 5)]


def test_windows_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    text = "nlu:\n- intent: a\n  examples: |\n    - x\n    - y\n"
    (tmp_path / "nlu.yml").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    examples = read_data([tmp_path]).examples
    assert [(one.text, one.where.line, one.where.column) for one in examples] == [("x", 4, 7), ("y", 5, 7)]


def test_merge_keys_and_anchors() -> None:
    report = Report()
    tree = parse_yaml(b"a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n", "f", report)
    merged = tree.entries["b"].value
    assert {key: entry.value.value for key, entry in merged.entries.items()} == {"x": 1, "y": 3}  # type: ignore[union-attr]
    assert report.problems == []


def test_files_are_found_however_they_are_nested(tmp_path: Path) -> None:
    one = "nlu:\n- intent: {0}\n  examples: '- {0}'\n"
    write(tmp_path, b=one.format("b"), a__c__d=one.format("d"), test_x="broken: [", endpoints="url: x")
    write(tmp_path, **{".hidden__x": "broken: ["})
    (tmp_path / "notes.txt").write_text("not yaml: [")
    assert [example.text for example in read_data([tmp_path]).examples] == ["b", "d"]
    assert [example.text for example in read_data([tmp_path / "b.yml", tmp_path]).examples] == ["b", "d"]


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="gone:1:1: cannot be read: No such file or directory"):
        read_data([tmp_path / "gone"])


STORIES = """\
slots:
  city: {type: text}
  open: {type: bool}
  secret: {type: text, influence_conversation: false}
stories:
- story: one
  steps:
  - or:
    - intent: greet
    - intent: hello
      entities: [name, {city: Rome, role: from}]
  - action: utter_greet
  - checkpoint: greeted
- story: two
  steps:
  - checkpoint: greeted
    slot_was_set: [open: true]
  - intent: book
  - action: never
- story: three
  steps:
  - checkpoint: greeted
  - intent: book
  - slot_was_set: [city: Rome, open: false, secret: x]
  - slot_was_set: [city, other]
  - action: form
  - active_loop: form
  - active_loop: null
  - user: "fly to [Oslo](city)"
  - bot: "there you go"
rules:
- rule: four
  condition:
  - active_loop: form
  - slot_was_set: [open: true]
  conversation_start: true
  wait_for_user_input: false
  steps:
  - intent: stop
  - action: utter_stop
"""


def test_stories_are_flat(tmp_path: Path) -> None:
    data = read(tmp_path, stories=STORIES)
    first, second, rule = data.stories
    assert [story.name for story in data.stories] == ["one + three", "one + three", "four"]
    assert first.where == f"{tmp_path / 'stories.yml'}:6:3"
    assert first.steps[0].intent == "greet"
    assert second.steps[0].entities == (
        Entity("name", 0, 0, None, "story"),
        Entity("city", 0, 0, "Rome", "story", role="from"),
    )
    kinds = [(step.intent, step.action, step.text, step.bot_text) for step in second.steps]
    assert kinds[1:3] == [(None, "utter_greet", None, None), ("book", None, None, None)]
    assert kinds[-2:] == [(None, None, "fly to Oslo", None), (None, None, None, "there you go")]
    assert [(step.active_form, step.sets_form) for step in second.steps if step.sets_form] == [
        ("form", True),
        (None, True),
    ]
    assert (rule.is_rule, rule.conversation_start, rule.wait_for_user_input) == (True, True, False)
    assert [step.active_form or step.slots for step in rule.condition] == ["form", {"open": True}]


def test_slots_of_stories_are_as_policies_see_them(tmp_path: Path) -> None:
    story = read(tmp_path, stories=STORIES).stories[0]
    assert [dict(step.slots) for step in story.steps if step.slots] == [
        {"city": FILLED, "open": False},
        {"city": FILLED, "other": FILLED},
    ]


def test_test_stories_have_text_and_intent(tmp_path: Path) -> None:
    write(tmp_path, test_stories="stories:\n- story: a\n  steps:\n  - user: |\n      hi\n    intent: greet\n")
    step = read_data([tmp_path / "test_stories.yml"]).stories[0].steps[0]
    assert (step.text, step.intent) == ("hi", "greet")


def test_what_rasa_reads_besides(tmp_path: Path) -> None:
    text = """\
stories:
- story: said or pressed
  steps:
  - or:
    - user: |-
        yes
      intent: /affirm
    - user: go on
    - intent: thank
  - metadata: {seen: true}
  - action: a
- story: to be written
- {story: empty, steps: []}
"""
    stories = read(tmp_path, stories=text).stories
    assert [(one.steps[0].text, one.steps[0].intent) for one in stories] == [
        *(("yes", "affirm"), ("go on", None), (None, "thank"))
    ]
    assert {len(one.steps) for one in stories} == {2}
    told = complaints(tmp_path, stories=text)
    assert [line for line in told if "has no steps" in line] == [
        "stories.yml:12:3: warning: story 'to be written' has no steps",
        "stories.yml:13:3: warning: story 'empty' has no steps",
    ]


def test_examples_that_are_folded_to_one_are_told(tmp_path: Path) -> None:
    (told,) = complaints(tmp_path, nlu="nlu:\n- intent: a\n  examples: >\n    - hi\n    - hello\n")
    assert told == "nlu.yml:3:13: warning: examples: `>` joins the lines to one example; write `|`"


def test_checkpoints_that_loop_or_multiply_are_bounded(tmp_path: Path) -> None:
    step = "  - intent: i{0}\n  - action: a{0}\n"
    loop = "".join(f"- story: s{n}\n  steps:\n  - checkpoint: c\n{step.format(n)}  - checkpoint: c\n" for n in range(9))
    text = f"stories:\n- story: start\n  steps:\n{step.format('x')}  - checkpoint: c\n{loop}"
    found = complaints(tmp_path, stories=text)
    assert len(found) == 1
    assert "join to more than 2000 stories" in found[0]
    names = [story.name for story in read_data([tmp_path]).stories]
    assert len(names) == len(set(names)) == 2000


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (
            "- checkpoint: gone\n  - intent: a",
            "warning: no story leads to checkpoint 'gone'; what follows",
        ),
        ("- intent: a\n  - checkpoint: gone", "warning: no story goes on from checkpoint 'gone'"),
        ("- intetn: a", "unknown key 'intetn'; did you mean 'intent'?"),
        ("- intent: a\n    action: b", "a step: expected one of intent, user, action"),
        ("- action: a\n    entities: [x]", "entities belong to an intent or a user text"),
        ("- or:\n    - action: b", "an alternative of `or`: expected intent, user or slot_was_set, got action"),
        ("- or:\n    - {intent: a, action: b}", "an alternative of `or`: unknown key 'action'"),
        ("- intent: /a", "warning: intent '/a': the slash is not needed"),
        ("- a", "a step: expected a mapping, got the text 'a'"),
        ("- intent:", "intent: expected a text, got nothing"),
        ("- active_loop: [x]", "active_loop: expected a text, got a list"),
    ],
)
def test_mistakes_in_stories(tmp_path: Path, steps: str, expected: str) -> None:
    found = complaints(tmp_path, stories=f"stories:\n- story: s\n  steps:\n  {steps}\n")
    assert any(expected in line for line in found), found


def test_a_message_without_a_text_is_its_intent(tmp_path: Path) -> None:
    steps = "- user: |\n\n    intent: silent\n  - action: a"
    assert complaints(tmp_path, stories=f"stories:\n- story: s\n  steps:\n  {steps}\n") == []
    said = read_data([tmp_path]).stories[0].steps[0]
    assert (said.intent, said.text) == ("silent", None)


def test_a_story_without_a_name_is_read(tmp_path: Path) -> None:
    found = complaints(tmp_path, stories="stories:\n- story:\n  steps: [intent: a, action: b]\n")
    assert [line.partition(" ")[2] for line in found] == ["warning: a story without a name"]
    assert len(read_data([tmp_path]).stories) == 1


def test_numbers_that_the_range_of_a_slot_makes_one(tmp_path: Path) -> None:
    domain = "slots:\n  guests: {type: float, mappings: [{type: custom}]}\n"
    steps = "- intent: a\n  - slot_was_set: [{guests: %s}]\n  - action: b"
    stories = "".join(f"- story: s{n}\n  steps:\n  {steps % n}\n" for n in (0.5, 2, 3))
    (warning,) = complaints(tmp_path, domain=domain, stories=f"stories:\n{stories}")
    assert "slot 'guests': stories tell 2 and 3 apart, but its max_value of 1 makes them one" in warning
    wide = domain.replace("float", "float, max_value: 9")
    assert complaints(tmp_path, domain=wide, stories=f"stories:\n{stories}") == []


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("steps: [intent: a, checkpoint: c]", "a rule has no checkpoints"),
        ("steps: [intent: a]\n  condition: [intent: b]", "a condition of a rule"),
        ("steps: [intent: a]\n  conversation_start: maybe", "expected true or false, got the text 'maybe'"),
        ("steps: []", ""),
        ("step: [intent: a]", "rule 'r' has no steps"),
    ],
)
def test_mistakes_in_rules(tmp_path: Path, rule: str, expected: str) -> None:
    found = complaints(tmp_path, rules=f"rules:\n- rule: r\n  {rule}\n")
    assert any(expected in line for line in found) or not expected, found


def test_too_many_alternatives(tmp_path: Path) -> None:
    step = "  - or: [intent: a, intent: b]\n"
    found = complaints(tmp_path, stories=f"stories:\n- story: s\n  steps:\n{step * 11}")
    assert found[0].endswith("multiply to 2048 stories; expected at most 1000")


def rasa_bots() -> list[Path]:
    folder = os.environ.get("STARFOLD_RASA_BOTS")
    return sorted(path.parent for path in Path(folder).glob("*/domain.yml")) if folder else []


EXPECTED = {  # examples, stories and rules, intents, responses
    "concertbot": (29, 11, 11, 7),
    "e2ebot": (33, 4, 4, 3),
    "formbot": (289, 8, 9, 17),
    "init": (68, 5, 7, 6),
    "knowledgebasebot": (44, 5, 4, 4),
    "moodbot": (67, 5, 7, 6),
    "reminderbot": (35, 8, 8, 2),
    "responseselectorbot": (76, 6, 8, 8),
    "rules": (289, 13, 11, 13),
}


@pytest.mark.skipif(not rasa_bots(), reason="STARFOLD_RASA_BOTS does not name a folder of Rasa projects")
@pytest.mark.parametrize("name", EXPECTED)
def test_rasa_projects_are_read_unchanged(name: str) -> None:
    bot = next(path for path in rasa_bots() if path.name == name)
    data, problems = collect_data([bot / "domain.yml", bot / "data"])
    assert problems == []
    sizes = (len(data.examples), len(data.stories), len(data.domain.intents), len(data.domain.responses))
    assert sizes == EXPECTED[name]
    for example in data.examples:
        line = Path(example.where.file).read_text(encoding="utf-8").splitlines()[example.where.line - 1]
        assert line[example.where.column - 1] in example.text + "["
        assert line[: example.where.column - 1].strip() == "-"


def seeds() -> list[bytes]:
    return [NLU.encode(), STORIES.encode()] + [path.read_bytes() for bot in rasa_bots() for path in bot.rglob("*.yml")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_only_give_project_errors(tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from(seeds())))
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(raw)))
        end = min(len(raw), start + data.draw(st.integers(0, 12)))
        raw[start:end] = data.draw(
            st.sampled_from(
                [b"", b"\t", b"- ", b": ", b"[", b"{", b"&a ", b"*a", b"\xff", b"\n", b"|", b"'", b"~", b"!!x "]
            )
            | st.binary(max_size=4)
            | st.text(max_size=4).map(lambda text: text.encode("utf-8", "replace"))
        )
    (tmp_path / "it.yml").write_bytes(raw)
    found, problems = collect_data([tmp_path / "it.yml"])
    problems += validate(Config(), found)
    assert all(problem.where.line >= 1 and problem.where.column >= 1 and problem.message for problem in problems)
    if not any(problem.is_error for problem in problems):
        assert read_data([tmp_path / "it.yml"]) == found


def test_ten_thousand_examples_are_read_quickly(tmp_path: Path) -> None:
    block = "".join(f"    - sentence {number} about [thing {number}](thing)\n" for number in range(100))
    write(tmp_path, nlu="nlu:\n" + "".join(f"- intent: i{n}\n  examples: |\n{block}" for n in range(100)))
    start = time.process_time()
    data = read_data([tmp_path])
    assert len(data.examples) == 10_000
    assert time.process_time() - start < 2
