"""What was said becomes labels and new intents."""

import json
from collections import Counter

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from dialogue import events as ev
from dialogue.cli import app
from dialogue.config_file import load_config
from dialogue.learning.discover import Suggestion, as_yaml
from dialogue.learning.heard import Said, said_in_file, said_in_store
from dialogue.learning.naming import name_for, words_of
from dialogue.learning.review import select, torn
from dialogue.learning.space import dense, space_of
from dialogue.learning.work import discover_intents, review_messages, unlabelled
from dialogue.posterior.kernel import MultiViewKernel, ViewKernel
from dialogue.project import open_bot, train
from dialogue.store.sql import SqlTrackerStore
from dialogue.training.data import read_data
from tests.dialogue.small import write_small

PARKING = ("where can I park my car", "car park near you?", "is there parking for a car", "park the car", "parking car")
PIZZA = ("one pizza please", "order a pizza", "pizza with cheese", "i want pizza", "large pizza with ham")


# --- messages ---------------------------------------------------------------------------------------------------------


def test_messages_of_a_store_are_counted_without_buttons_and_events_from_outside():
    store = SqlTrackerStore("sqlite://")
    doubt = {"doubt": {"kind": "rephrase"}}
    said = [("Blub", doubt), ("blub ", doubt), ("hello", {}), ("/greet", {}), (None, {})]
    events = [ev.UserUttered(text=text, parse_data=parse) for text, parse in said]
    events.append(ev.UserUttered(text="EXTERNAL: x", metadata={ev.EXTERNAL: True}))
    store.append("ada", 0, events)
    assert said_in_store(store) == [Said("Blub", 2, 2), Said("hello", 1, 0)]
    store.close()


def test_messages_of_a_file_are_all_in_doubt(tmp_path):
    (tmp_path / "log.txt").write_text("hi there\n\nHI  there\n你好\n", "utf-8")
    assert said_in_file(tmp_path / "log.txt") == [Said("hi there", 2, 2), Said("你好", 1, 1)]
    (tmp_path / "log.jsonl").write_text(json.dumps({"text": "a", "intent": "?"}))
    assert said_in_file(tmp_path / "log.jsonl") == [Said("a", 1, 1)]


# --- names and spaces -------------------------------------------------------------------------------------------------


def test_a_cluster_is_called_by_its_own_words_in_their_order():
    everything = Counter(word for text in (*PARKING, *PIZZA, "please can you") for word in words_of(text, "en"))
    assert name_for(PARKING, everything, "en", ()) == "park_car"
    assert name_for(PARKING, everything, "en", {"park_car"}) == "park_car_2"
    assert "pizza" in name_for(PIZZA, everything, "en", ())
    assert name_for(["12", "?!"], everything, "en", {"new_intent"}) == "new_intent_2"


def test_in_the_space_intents_are_round_and_of_one_size():
    rng = np.random.default_rng(0)
    means, skew = rng.normal(0, 3, (30, 6)), rng.normal(0, 1, (6, 6))
    labels = np.repeat(np.arange(30), 12)
    texts = (means[labels] + rng.normal(0, 0.6, (360, 6))) @ skew
    space = space_of(texts[:240], labels[:240], texts[240:])
    spreads = [np.cov(space.points[i : i + 12].T) for i in range(0, 120, 12)]
    assert np.diag(np.mean(spreads, axis=0)) == pytest.approx(1, abs=0.5)
    assert (space.spread >= 1).all()
    assert space.known.counts.tolist() == [12] * 20


def test_views_lie_side_by_side_by_their_weight():
    kernel = MultiViewKernel({"a": ViewKernel(0.8, 2.0), "b": ViewKernel(0.0, 2.0)})
    views = {"a": np.ones((2, 3), np.float32), "b": np.ones((2, 5), np.float32)}
    assert dense(views, kernel) == pytest.approx(np.full((2, 3), 1.6**0.5))
    with pytest.raises(ValueError, match="dense vectors"):
        dense({}, kernel)


# --- what to ask ------------------------------------------------------------------------------------------------------


def test_the_greedy_choice_is_that_of_brute_force():
    rng = np.random.default_rng(1)
    root = rng.normal(0, 1, (9, 4))
    left, weights, noise = root @ root.T + 0.1 * np.eye(9), rng.uniform(0.1, 1, 9), 0.3
    expected = []
    for _ in range(4):
        after = [(np.diag(left) - left[:, i] ** 2 / (left[i, i] + noise)) @ weights for i in range(9)]
        best = int(np.argmin([np.inf if i in expected else value for i, value in enumerate(after)]))
        expected.append(best)
        left = left - np.outer(left[:, best], left[:, best]) / (left[best, best] + noise)
    assert select(root @ root.T + 0.1 * np.eye(9), weights, noise, 4) == expected


def test_two_wordings_of_one_question_are_not_both_asked():
    twins = np.array([[1.0, 0.99, 0.0], [0.99, 1.0, 0.0], [0.0, 0.0, 0.5]])
    assert select(twins, np.ones(3), 0.1, 2) in ([0, 2], [1, 2])
    assert len(select(twins, np.ones(3), 0.1, 9)) == 3


def test_torn_is_one_minus_the_margin():
    assert torn(np.array([[0.6, 0.3, 0.1], [0.9, 0.05, 0.0]])) == pytest.approx([0.7, 0.15])
    assert torn(np.array([[0.7]])) == pytest.approx([0.3])


# --- a whole project --------------------------------------------------------------------------------------------------


pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A bot whose users also asked for parking and pizza."""
    folder = write_small(tmp_path_factory.mktemp("learning"))
    file = folder / "bot.yml"
    file.write_text(file.read_text() + "  meaning: bert\nfusion: {tune: none}\n")
    (folder / "said.txt").write_text("\n".join([*PARKING, *PIZZA, "hello there"]) + "\n")
    train(folder)
    return folder


def test_what_was_not_understood_becomes_new_intents(project):
    found = discover_intents(project, project / "said.txt", least=3)
    assert found
    for one in found:
        assert len(one.messages) >= 3
        assert 0 < one.together <= 1
    new = [one for one in found if one.new]
    assert new
    texts = {message.text for one in new for message in one.messages}
    assert "hello there" not in texts  # an example already
    read = yaml.safe_load(as_yaml(found))
    assert [item["intent"] for item in read["nlu"]] == [one.intent for one in new]
    (project / "found.yml").write_text(as_yaml(found))
    assert {example.text for example in read_data([project / "found.yml"]).examples} == texts
    (project / "found.yml").unlink()


def test_odd_texts_survive_yaml(tmp_path):
    odd = ("- a: b", "#no", "yes", "12", 'say "hi"', "你好：吗")
    (tmp_path / "n.yml").write_text(
        as_yaml([Suggestion("x", True, tuple(Said(text, 1, 1) for text in odd), 1.0)]), "utf-8"
    )
    assert tuple(example.text for example in read_data([tmp_path / "n.yml"]).examples) == odd


def test_answers_of_a_review_are_written_among_the_examples(project, tmp_path):
    answers, shown = iter(["nonsense", "weather", "skip", "", "greet"]), []

    def ask(question, guess, names):
        assert "goodbye" in names
        return next(answers, "skip")

    before = (project / "data" / "all.yml").read_bytes()
    written = review_messages(project, project / "said.txt", most=4, ask=ask, say=shown.append)
    data = read_data([project / "data"])
    (project / "data" / "all.yml").write_bytes(before)
    extra = project / "data" / "interactive.yml"
    extra.unlink(missing_ok=True)
    assert written == 3
    assert any("there is no intent 'nonsense'" in line for line in shown)
    fresh = [example for example in data.examples if example.text in (*PARKING, *PIZZA)]
    assert len(fresh) == 3
    assert "weather" in [example.intent for example in fresh]


def test_the_end_of_the_input_ends_a_review(project):
    def ask(question, guess, names):
        raise EOFError

    assert review_messages(project, project / "said.txt", most=4, ask=ask, say=str) == 0


def test_messages_come_from_the_store_where_no_file_is_named(project):
    with_store = load_config(project)
    bot = open_bot(project)
    from dialogue.message import Message

    bot.handle(Message("any chance of hail?", sender="ada"))
    bot.close()
    said = unlabelled(with_store, read_data(with_store.data_paths), None)
    assert [one.text for one in said] == ["any chance of hail?"]


def test_the_commands(project):
    run = CliRunner().invoke
    out = project / "discovered.yml"
    found = run(app, ["discover", "-p", str(project), "--messages", str(project / "said.txt"), "--out", str(out)])
    assert found.exit_code == 0, found.output
    assert "new intent" in found.output
    assert out.exists()
    nothing = run(app, ["discover", "-p", str(project), "--least", "50", "--messages", str(project / "said.txt")])
    assert nothing.output.strip() == "nothing new was found"
    taught = run(app, ["teach", "-p", str(project), "is hail likely", "weather"])
    assert taught.output == "'is hail likely' is weather from now on\n"
    wrong = run(app, ["teach", "-p", str(project), "is hail likely", "wether"])
    assert wrong.exit_code == 4
    assert "did you mean 'weather'" in wrong.output
