"""What a report finds: confusions, doubtful labels, what encoders are worth, learning curves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dialogue.posterior.head import HeadConfig, fit_head
from dialogue.posterior.kernel import MultiViewKernel, ViewKernel, take, unit
from dialogue.posterior.process import fit_process
from dialogue.report.confusions import confusions, matrix, mistaken
from dialogue.report.contributions import closed, leave_one_out, mean_turns
from dialogue.report.labels import bare, left_out, repeated, suspects, twins
from dialogue.report.learning import part
from dialogue.training.evaluate import StageClock
from dialogue.training.trainer import train_model
from dialogue.training.types import Example
from tests.dialogue.reports import made
from tests.dialogue.tinybots import config, corpus

NAMES = ("a", "b", "c", "d")


def asked(*pairs, confidence=None):
    """Outcomes of (truth, guess), the surest last unless said otherwise."""
    outcomes = made(len(pairs))
    sure = np.linspace(0.1, 0.9, len(pairs)) if confidence is None else np.array(confidence)
    truth, guess = zip(*pairs, strict=True)
    right = np.array([t == g for t, g in pairs])
    return replace(outcomes, truth=truth, guess=guess, right=right, confidence=sure)


def test_confusions_come_the_worst_first_and_messages_the_surest():
    outcomes = asked(*[("a", "b")] * 3, ("a", "a"), *[("c", "b")] * 2, ("b", "a"), ("b", "b"), (None, "a"))
    found = confusions(outcomes)
    assert [(one.truth, one.guess, one.rows, one.of) for one in found] == [
        ("a", "b", (2, 1, 0), 4),
        ("c", "b", (5, 4), 2),
        ("b", "a", (6,), 2),
    ]
    names, counts, of = matrix(outcomes, found, 3)
    assert names == ["a", "b", "c"]
    assert counts.tolist() == [[1, 3, 0], [1, 1, 0], [0, 2, 0]]
    assert of.tolist() == [4, 2, 2]
    assert matrix(outcomes, found, 2)[0] == ["a", "b"]


def test_what_is_out_of_scope_is_mistaken_unless_it_is_seen_to_be():
    outcomes = asked(("a", "b"), (None, "a"), (None, "out_of_scope"), (None, "b"), confidence=[0.9, 0.2, 0.8, 0.7])
    seen = replace(outcomes, right=np.array([False, False, True, False]))
    assert mistaken(seen) == [3, 1]


def test_an_encoder_that_the_fusion_does_not_read_turns_it_by_nothing(tmp_path):
    taught = corpus(10)
    two = {"words": "onehot", "w": "tests.dialogue.tinybots:Witness"}
    model = train_model(config(tmp_path, encoders=two, fusion={"epochs": 1}), taught)
    turns = mean_turns(model, taught.texts[:7])
    assert set(turns) == {"words", "w"}
    assert all(0.001 < turn < 2 for turn in turns.values())
    model.members = tuple(
        replace(member, fusions={name: closed(fusion, "w") for name, fusion in member.fusions.items()})
        for member in model.members
    )
    fewer = mean_turns(model, taught.texts[:7])
    assert fewer["w"] == pytest.approx(0, abs=1e-6)
    assert fewer["words"] > 0.001


@pytest.fixture(scope="module")
def head():
    """A head on twelve texts of each of four intents, and a view that is noise; one label is wrong."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 12)
    told = truth.copy()
    told[5] = 2
    views = {
        "good": unit((np.eye(4)[truth] + rng.normal(0, 0.25, (48, 4))).astype(np.float32)),
        "noise": unit(rng.normal(0, 1, (48, 8)).astype(np.float32)),
    }
    start = {"good": ViewKernel(0.5, 3.0), "noise": ViewKernel(0.5, 3.0)}
    return fit_head(HeadConfig(samples=16), views, told, 4, start, seed=0)


def examples_of(head):
    return [Example(f"text {i}", NAMES[k]) for i, k in enumerate(head.process.labels)]


def test_an_example_is_judged_by_all_the_others(head):
    p = head.process
    i = 5
    rest = np.delete(np.arange(len(p.labels)), i)
    without = fit_process(p.kernel, take(p.views, rest), p.labels[rest], 4, p.noise[rest]).process
    latent = without.mean(p.kernel(take(p.views, np.array([i])), without.views))
    assert head.posterior.left_out_link_(latent)[0] == pytest.approx(left_out(head)[i], abs=2e-3)


def test_a_wrong_label_is_doubted_first(head):
    found = suspects(left_out(head), NAMES, examples_of(head))
    assert (found[0].example.text, found[0].example.intent, found[0].other) == ("text 5", "c", "a")
    assert found[0].label < 0.1 < 0.5 <= found[0].preferred
    assert len(found) < 6


def test_the_only_example_of_an_intent_cannot_be_doubted():
    belief = np.array([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1]])
    told = [Example("x", "a"), Example("y", "a"), Example("z", "b")]
    assert [one.example.text for one in suspects(belief, ("a", "b"), told)] == ["y"]


def test_a_view_of_noise_is_not_missed_and_a_good_one_is(head):
    kernel = MultiViewKernel({"good": ViewKernel(0.8, 3.0), "noise": ViewKernel(0.2, 3.0)})
    found = leave_one_out(replace(head, process=replace(head.process, kernel=kernel)))
    assert found["good"].lower > found["noise"].upper
    assert all(one.lower <= one.value <= one.upper for one in found.values())
    alone = MultiViewKernel({"good": ViewKernel(1.0, 3.0), "noise": ViewKernel(0.0, 3.0)})
    assert leave_one_out(replace(head, process=replace(head.process, kernel=alone))) == {}


def test_near_duplicates_are_found_across_intents_only(head):
    p = head.process
    view = p.views["good"].copy()
    view[20], view[1] = view[40], view[2]  # the first pair has two labels, the second has one
    kernel = MultiViewKernel({"good": ViewKernel(1.0, 3.0)})
    views = {"good": view}
    found = twins(replace(head, process=replace(p, kernel=kernel, views=views)), examples_of(head))
    assert (found[0].first.text, found[0].second.text) == ("text 20", "text 40")
    assert found[0].alike == pytest.approx(1.0)
    assert all(one.first.intent != one.second.intent and one.alike >= 0.7 for one in found)


def test_repetitions_are_counted_whatever_their_case_and_punctuation():
    told = [
        Example(t, i) for t, i in (("Hi there!", "a"), ("hi  there", "a"), ("hi there", "b"), ("?", "a"), ("!", "a"))
    ]
    assert repeated(told, ["HI THERE", "hello", "?"]) == (1, 2)
    assert bare("?") == "?"


def test_parts_of_a_learning_curve_grow_into_each_other_and_keep_every_intent():
    told = [Example(f"{i}", NAMES[i % 3]) for i in range(60)] + [Example("x", "d")]
    parts = [set(part(told, share, seed=1).tolist()) for share in (0.01, 0.25, 0.5, 1.0)]
    assert [len(one) for one in parts] == [4, 16, 31, 61]
    assert parts[0] < parts[1] < parts[2] < parts[3]
    assert {told[i].intent for i in parts[0]} == set(NAMES)


def test_time_belongs_to_the_stage_that_is_under_way(monkeypatch):
    now = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0])
    monkeypatch.setattr("dialogue.training.evaluate.time.perf_counter", lambda: next(now))
    clock = StageClock()
    for report in (("look", 0, 1), ("look", 1, 1), ("fusion 1 of 2", 1, 3), ("fusion 2 of 2", 1, 3), ("weigh", 1, 1)):
        clock(*report)
    assert clock.seconds == {"look": 3.0, "fusion": 12.0}
