"""What the entities of a text say of its intent, and the intent of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest

from dialogue.model import Model
from dialogue.tagging.agreement import WEIGHT, Taught, taught
from dialogue.tagging.crf import Chain, totals
from dialogue.tagging.tagger import Tagger
from dialogue.tagging.tags import Label, spans_of
from dialogue.training.corpus import Corpus
from dialogue.training.trainer import train_model
from encoders.tokenizer import tokenize
from policies.types import Entity
from tests.dialogue.tinybots import config

LABELS = (Label("city"), Label("person"))
TAGS = 1 + 2 * len(LABELS)
CITIES = ("rome", "oslo", "paris", "berlin", "lima", "quito", "cairo", "delhi")
PEOPLE = ("anna", "bob", "carla", "dan", "eve", "frank", "gina", "hugo")


def chain(seed: int = 0) -> Chain:
    rng = np.random.default_rng(seed)
    return Chain.constrained(rng.normal(size=TAGS), rng.normal(size=(TAGS, TAGS)), rng.normal(size=TAGS))


@pytest.mark.parametrize("length", [1, 2, 4])
def test_the_sums_are_those_over_every_sequence_of_tags(length: int) -> None:
    potentials, emission = chain(), np.random.default_rng(1).normal(size=(length, TAGS))
    costs = np.array([[0.0, 0.0], [-1.5, 0.0], [-0.3, -2.0]])
    wanted = np.zeros(len(costs))
    for tags in product(range(TAGS), repeat=length):
        path = potentials.start[tags[0]] + emission[np.arange(length), tags].sum() + potentials.end[tags[-1]]
        path += sum(potentials.transition[a, b] for a, b in pairwise(tags))
        if path > -1e3:  # else it is no BIO sequence
            spans = [span.label for span in spans_of(tags)]
            wanted += [np.exp(path + row[spans].sum()) for row in costs]
    longer = np.zeros((length + 2, TAGS))
    found = totals(potentials, [longer, emission], costs)
    assert np.allclose(found[1], np.log(wanted))
    assert np.allclose(found[0], totals(potentials, [longer], costs)[0])


def test_a_label_that_none_of_n_examples_has_is_one_in_n_and_one() -> None:
    rome, anna = Entity("city", 0, 4, "rome", "gold"), Entity("person", 0, 4, "anna", "gold")
    said = taught(LABELS, [(rome,), (rome, anna), (), (), (anna,)], ["go", "go", "chat", "chat", None])
    assert said.intents == ("chat", "go")
    assert np.allclose(said.costs, [[-np.log(3), -np.log(3)], [0, 0]])
    assert said.expected(np.array([0.0, 1.0])).tolist() == said.expected(np.zeros(2)).tolist() == [0, 0]
    assert np.allclose(np.exp(said.expected(np.array([0.6, 0.3]))), 0.6 / 3 + 0.3 + 0.1)
    assert said.columns(["go", "never heard of", "chat"]).tolist() == [[0, 1], [0, 0], [1, 0]]


def test_a_certain_span_leans_by_what_it_costs_and_no_span_by_nothing() -> None:
    said = Taught(("a", "b"), np.array([[0, 0], [-3, 0]], np.float32))
    free = Chain.constrained(np.zeros(TAGS), np.zeros((TAGS, TAGS)), np.zeros(TAGS))
    certain = np.full((3, TAGS), -40.0)
    certain[[0, 1, 2], [0, 1, 0]] = 40.0
    plain = np.full((3, TAGS), -40.0)
    plain[:, 0] = 40.0
    nothing = np.zeros((0, TAGS))
    assert np.allclose(said.lean(free, [certain, nothing, plain]), [[0, -3 * WEIGHT], [0, 0], [0, 0]], atol=1e-6)
    assert said.lean(free, [nothing]).tolist() == [[0, 0]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """`visit` has cities and `call` has people; the words around them are the same."""
    texts, classes, annotated = [], [], []
    for name, kind, several in (("visit", "city", CITIES), ("call", "person", PEOPLE)):
        for frame in ("tell me about {}", "i want {} now", "{} please", "what of {} then"):
            for value in several:
                text = frame.format(value)
                start = text.index(value)
                texts.append(text)
                classes.append(name)
                annotated.append((Entity(kind, start, start + len(value), value, "gold"),))
    for text in ("hello there", "good day", "good evening", "hi"):
        texts.append(text)
        classes.append("greet")
        annotated.append(())
    made = config(tmp_path_factory.mktemp("agree"), fusion={"tune": "none"})
    return train_model(made, Corpus(tuple(texts), tuple(classes), annotated=tuple(annotated)))


def test_the_beliefs_of_head_and_tagger_are_pooled(model: Model) -> None:
    assert model.tagger is not None
    text = "i want rome please"
    utterances = [tokenize(text)]
    units = model.encoders.see(utterances)
    readings = model.read(utterances, units)
    (lean,) = model.tagger.lean(readings)
    assert model.tagger.taught.intents == model.meaning.classes == ("call", "greet", "visit")
    assert lean[2] == pytest.approx(0, abs=0.1)
    assert lean[0] < -WEIGHT
    assert lean[1] < -WEIGHT
    head = model.head.predict(model.views_of(utterances, units))
    draws = head.draws / head.draws.sum(axis=2, keepdims=True) * np.exp(lean)
    wanted = (draws / draws.sum(axis=2, keepdims=True)).mean(axis=0)[0]
    found = model.predict([text])
    assert np.allclose(found.known[0], wanted, atol=1e-5)
    assert found.unknown[0] == pytest.approx(head.unknown[0], abs=1e-6), "it says nothing of what is no intent"
    belief = model.parse(text)
    assert belief.top is not None
    assert belief.top.mean == pytest.approx(float(found.mean[0, 2]), abs=1e-4)


def test_entities_are_those_of_the_intents_that_are_believed_in(model: Model) -> None:
    assert model.tagger is not None
    torn = tokenize("tell me about zork")
    (reading,) = model.read([torn], model.encoders.see([torn]))
    call, visit = np.array([1, 0, 0], np.float32), np.array([0, 0, 1], np.float32)
    kinds = [[e.entity for e in model.tagger.entities(reading, belief)] for belief in (visit, call)]
    assert kinds == [["city"], ["person"]]
    even = model.tagger.entities(reading, (call + visit) / 2)
    assert [e.entity for e in even] == [e.entity for e in model.tagger.entities(reading)]


def test_what_was_taught_comes_back_from_disk_and_must_fit(model: Model, tmp_path: Path) -> None:
    assert model.tagger is not None
    model.tagger.save(tmp_path)
    again = Tagger.load(tmp_path).taught
    assert again.intents == model.tagger.taught.intents
    assert np.array_equal(again.costs, model.tagger.taught.costs)
    replace(model.tagger, taught=Taught(("visit",), again.costs)).save(tmp_path)
    with pytest.raises(ValueError, match="do not fit: 1 intents"):
        Tagger.load(tmp_path)
