"""How often intents are meant: what is counted, and what it does to a belief."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dialogue import events as ev
from dialogue.config_file import load_config
from dialogue.errors import ProjectError
from dialogue.posterior.head import Head
from dialogue.posterior.intent_prior import IntentPrior, ratios, shares
from dialogue.posterior.kernel import take
from dialogue.posterior.predictive import bounds
from dialogue.project import read, teach, train
from dialogue.store.sql import SqlTrackerStore
from dialogue.training.folder import current_version, read_manifest
from dialogue.usage import meant
from tests.dialogue.small import write_small
from tests.dialogue.test_posterior_head import check, made
from tests.dialogue.toys import labelled, two_views

EVEN = (0.25, 0.25, 0.25, 0.25)


def prior(counts: tuple[float, ...], strength: float = 10.0, base: tuple[float, ...] = EVEN) -> IntentPrior:
    return IntentPrior(strength, base, counts, (0, 1, 2, 3))


def typed(text: str, *, doubt: bool = False, **means: float) -> ev.UserUttered:
    intents = [{"name": name, "mean": mean} for name, mean in means.items()]
    parse: dict[str, Any] = {"intent": {"name": next(iter(means), None)}, "belief": {"intents": intents}}
    return ev.UserUttered(text=text, parse_data={**parse, **({"doubt": {"kind": "clarify"}} if doubt else {})})


def told(intent: str) -> ev.UserUttered:
    return ev.UserUttered(text=f"/{intent}", parse_data={"intent": {"name": intent, "confidence": 1.0}})


# --- what it does -----------------------------------------------------------------------------------------------------


def test_probabilities_move_by_the_ratio_of_the_shares() -> None:
    draws = np.array([[[0.4, 0.3, 0.2, 0.1]]], np.float32)
    base = (0.4, 0.2, 0.2, 0.2)
    theta = (10 * np.array(base) + [0, 0, 0, 30]) / 40
    expected = draws[0, 0] * theta / np.array(base)
    found = prior((0, 0, 0, 30), base=base)(draws)
    assert found[0, 0] == pytest.approx(expected / expected.sum(), abs=1e-6)


@pytest.mark.parametrize(("counts", "strength"), [((0, 0, 0, 0), 1e9), ((7, 1, 0, 40), 1e9)])
def test_a_large_strength_moves_nothing(counts: tuple[float, ...], strength: float) -> None:
    draws = np.random.default_rng(0).dirichlet(np.ones(4), (64, 5)).astype(np.float32)
    assert np.allclose(prior(counts, strength)(draws), draws, atol=1e-3)


@pytest.mark.parametrize("samples", [1, 2, 33, 256])
@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (0, 3, 0, 40)])
def test_the_mean_moves_by_the_mean_of_the_shares_however_little_is_known(
    counts: tuple[float, ...], samples: int
) -> None:
    """Without counts it stays where it is."""
    draws = np.random.default_rng(0).dirichlet(np.ones(4), (samples, 5)).astype(np.float32)
    one = prior(counts, 4.0)
    expected = draws.mean(axis=0) * one.mean / 0.25
    expected /= expected.sum(axis=1, keepdims=True)
    found = one(draws)
    assert found.sum(axis=2) == pytest.approx(np.ones((samples, 5)), abs=1e-5)
    assert found.mean(axis=0) == pytest.approx(expected, abs=0.02 if samples == 2 else 2e-3)


def test_draws_have_the_deviation_of_the_dirichlet() -> None:
    found = ratios(prior((5, 20, 1, 2)), 20_000) * 0.25
    a = 10 * np.array(EVEN) + [5, 20, 1, 2]
    mean = a / a.sum()
    assert found.mean(axis=0) == pytest.approx(mean, abs=2e-3)
    assert found.std(axis=0) == pytest.approx(np.sqrt(mean * (1 - mean) / (a.sum() + 1)), rel=0.05)


def test_few_counts_leave_a_wider_interval_than_many() -> None:
    draws = np.tile(np.array([0.5, 0.3, 0.1, 0.1], np.float32), (256, 1, 1))
    few, some, many = (prior((n, n, n, n), 4.0)(draws) for n in (2, 50, 1e6))
    widths = [np.subtract(*bounds(found, 0.9)[::-1])[0, 0] for found in (few, some, many)]
    assert widths[0] > 2 * widths[1] > 4 * widths[2]
    assert widths[2] < 0.01


def test_the_unknown_stays_and_the_predictive_keeps_its_promises() -> None:
    head, views = made(labelled(4, 4)), two_views(labelled(4, 3), spread=0.9, seed=3)
    plain, moved = head.predict(views), replace(head, intent_prior=prior((0, 0, 9, 0))).predict(views)
    check(moved)
    assert np.allclose(moved.unknown, plain.unknown, atol=1e-5)  # the same draws in another order
    assert (moved.mean[:, 2] > plain.mean[:, 2]).all()


def test_classes_of_one_intent_move_together() -> None:
    draws = np.array([[[0.3, 0.2, 0.5]]], np.float32)
    found = IntentPrior(1.0, (0.5, 0.5), (9.0, 0.0), (0, 0, 1))(draws)[0, 0]
    assert found[0] / found[1] == pytest.approx(1.5, abs=1e-5)
    assert found[2] < 0.1


def test_a_draw_that_leaves_nothing_is_left_alone() -> None:
    draws = np.array([[[0.0, 0.0, 0.0, 1.0]]] * 2, np.float32)
    found = prior((5, 5, 5, 0), 1e-3)(draws)
    assert np.isfinite(found).all()
    assert found.sum(axis=2) == pytest.approx(np.ones((2, 1)))


def test_shares_count_a_text_more_for_each_intent_and_a_hint_for_less() -> None:
    groups, labels = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])
    found = shares(groups, labels, np.array([1, 1, 1, 0.25], np.float32))
    assert found == pytest.approx(np.array([4, 1.25, 1]) / 6.25)


def test_teaching_keeps_the_prior_and_it_comes_back_from_disk(tmp_path: Path) -> None:
    head = replace(made(labelled(4, 3)), intent_prior=prior((9, 0, 0, 1)))
    head.save(tmp_path)
    again, new = Head.load(tmp_path), take(two_views(labelled(5, 1)), np.array([4]))
    assert again.intent_prior == head.intent_prior
    assert np.allclose(again.predict(new).mean, head.predict(new).mean, atol=1e-6)
    assert head.teach(new, 2).intent_prior == head.intent_prior
    grown = head.teach(new, 4).intent_prior
    assert grown is not None
    assert list(grown.counts) == [9, 0, 0, 1, 0]
    assert list(grown.groups) == [0, 1, 2, 3, 4]
    assert sum(grown.base) == pytest.approx(1)


# --- what is counted --------------------------------------------------------------------------------------------------


def test_messages_count_by_their_means() -> None:
    found = meant([typed("a", order=0.7, cancel=0.2), typed("b", cancel=0.9), ev.ActionExecuted(name="x")])
    assert found == pytest.approx({"order": 0.7, "cancel": 1.1})


def test_buttons_count_only_in_place_of_a_message_in_doubt() -> None:
    assert meant([told("order")]) == {}
    assert meant([typed("a", order=0.9), told("pay")]) == pytest.approx({"order": 0.9})
    doubted = typed("a", doubt=True, order=0.4, cancel=0.3)
    assert meant([doubted, told("cancel")]) == {"cancel": 1.0}
    assert meant([doubted, told("cancel"), told("pay")]) == {"cancel": 1.0}
    assert meant([doubted, ev.Restarted(), told("cancel")]) == pytest.approx({"order": 0.4, "cancel": 0.3})


def test_what_was_taken_back_does_not_count_and_what_it_was_replaced_by_does() -> None:
    back = ev.UserUtteranceReverted()
    assert meant([typed("a", order=0.7), back]) == {}
    doubted = typed("a", doubt=True, order=0.4)
    assert meant([typed("b", pay=1.0), doubted, told("cancel"), back, back, told("cancel")]) == {
        "pay": 1.0,
        "cancel": 1.0,
    }
    assert meant([back, typed("a", order=0.7)]) == pytest.approx({"order": 0.7})


def test_what_no_person_said_does_not_count() -> None:
    said = typed("a", order=0.7)
    outside = ev.UserUttered(text="x", parse_data=said.parse_data, metadata={ev.EXTERNAL: True})
    assert meant([outside, ev.UserUttered(text=None), ev.UserUttered(text="no parse")]) == {}


# --- in a project -----------------------------------------------------------------------------------------------------


def test_a_bot_counts_its_store_when_asked_to(tmp_path: Path) -> None:
    project = write_small(tmp_path / "bot")
    train(project)
    plain = model_of(project)
    assert plain.head.intent_prior is None
    with closing(SqlTrackerStore(load_config(project).store_url)) as store:
        store.append("ada", None, [typed("rain", weather=0.9, greet=0.05), typed("old", gone=0.8)] * 20)
    (project / "bot.yml").write_text((project / "bot.yml").read_text() + "intent_prior: {strength: 8}\n")
    summary = train(project)
    assert "Meant in stored conversations: 19 messages, weather 18, greet 1 the most." in summary.lines
    version = current_version(load_config(project).model_path)
    assert version is not None
    facts = read_manifest(version).facts["intent_prior"]
    assert facts["strength"] == 8
    assert sorted(facts["counts"].items()) == [("goodbye", 0), ("greet", 1), ("wait", 0), ("weather", 18)]
    moved = model_of(project)
    before, after = (mean_of(model, "hello is it", "weather") for model in (plain, moved))
    assert after > before + 0.05
    teach(project, "is it going to snow", "weather")
    assert model_of(project).head.intent_prior == moved.head.intent_prior


def test_a_bot_that_nobody_has_talked_to_is_trained_as_without_a_prior(tmp_path: Path) -> None:
    project = write_small(tmp_path / "bot")
    (project / "bot.yml").write_text((project / "bot.yml").read_text() + "intent_prior: {}\n")
    assert "Meant in stored conversations: 0 messages." in train(project).lines


def model_of(project: Path) -> Any:
    config = load_config(project)
    version = current_version(config.model_path)
    assert version is not None
    return read(config, version)[0]


def mean_of(model: Any, text: str, intent: str) -> float:
    return float(next(one.mean for one in model.parse(text).intents if one.name == intent))


@pytest.mark.parametrize("written", ["{strength: 0}", "{strength: -1}", "{power: 2}", "7"])
def test_a_prior_that_makes_no_sense_is_named_with_its_place(written: str, tmp_path: Path) -> None:
    project = write_small(tmp_path / "bot")
    (project / "bot.yml").write_text((project / "bot.yml").read_text() + f"intent_prior: {written}\n")
    with pytest.raises(ProjectError) as raised:
        load_config(project)
    assert all(f"{project / 'bot.yml'}:7:" in str(problem) for problem in raised.value.problems)


def test_a_damaged_prior_is_named(tmp_path: Path) -> None:
    made(labelled(3, 2)).save(tmp_path)
    file = tmp_path / "head.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "intent_prior": {"strength": 1}}))
    with pytest.raises(ValueError, match=r"head\.json"):
        Head.load(tmp_path)
