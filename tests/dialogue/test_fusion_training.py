"""Training of a fusion: it learns, keeps its best epoch, stops in time, and the seed decides all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import dialogue.fusion.training as training
from dialogue.fusion.shape import FusionConfig
from dialogue.fusion.training import Lessons, Recipe, batches, contrastive, encode, rate, separation, train_fusion
from dialogue.fusion.transformer import Fusion
from dialogue.fusion.units import Seen, Units

WIDTH = 8
CONFIG = FusionConfig(16, 2, 32, 1, 0.1, 0.1, 1e-12, False, {"toy": WIDTH}, {"toy": WIDTH})
RECIPE = Recipe(epochs=6, patience=6, batch_size=16, learning_rate=5e-3, weight_decay=0.01, seed=0)


def units(labels: Any, seed: int) -> Units:
    """Texts of three words, one of which tells the intent; the sentence tells nothing."""
    rng = np.random.default_rng(seed)
    n = len(labels)
    words = rng.standard_normal((n, 3, WIDTH)).astype(np.float32)
    words[np.arange(n), rng.integers(0, 3, n)] = 5 * np.eye(WIDTH, dtype=np.float32)[labels]
    sentence = np.full((n, WIDTH), WIDTH**-0.5, np.float32)
    return Units({"toy": Seen(words.reshape(-1, WIDTH), 3 * np.arange(n + 1), sentence)}, None, n)


def lessons(each: int = 10, seed: int = 0) -> Lessons:
    labels = np.repeat(np.arange(4), each)
    return Lessons(units(labels, seed), labels, None, np.full(len(labels), -1))


def held_out() -> tuple[Units, Any]:
    found = lessons(6, 1)
    return found.units, found.labels


def weights(fusion: Fusion) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in fusion.state_dict().items()}


def test_training_brings_held_out_texts_of_one_intent_together() -> None:
    before = train_fusion(CONFIG, None, lessons(), held_out(), replace(RECIPE, epochs=1, learning_rate=1e-9))
    after = train_fusion(CONFIG, None, lessons(), held_out(), replace(RECIPE, epochs=20, patience=20))
    assert separation(after, held_out()) < separation(before, held_out()) - 0.3
    features, labels = encode(after, held_out()[0]), held_out()[1]
    cosines = features @ features.T - 2 * np.eye(len(labels))
    assert (labels[cosines.argmax(axis=1)] == labels).mean() > 0.8


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The held-out losses that training looks at."""
    found: list[float] = []
    real = training.separation

    def spy(fusion: Fusion, held: Any) -> float:
        found.append(real(fusion, held))
        return found[-1]

    monkeypatch.setattr(training, "separation", spy)
    return found


def test_the_best_epoch_is_kept(scores: list[float]) -> None:
    fusion = train_fusion(CONFIG, None, lessons(2), held_out(), replace(RECIPE, epochs=25, patience=25))
    assert len(scores) == 26
    assert scores[-1] > min(scores), "the toy should overfit, or this test says nothing"
    assert separation(fusion, held_out()) == pytest.approx(min(scores), abs=1e-6)
    assert not fusion.training


@pytest.mark.parametrize(
    ("patience", "losses", "epochs"),
    [(1, [9, 8, 7, 7, 0], 3), (2, [9, 8, 9, 7, 7.5, 7, 0], 5), (9, [9, 8, 7, 6, 5, 4, 3, 2, 1], 8)],
)
def test_it_stops_after_so_many_epochs_without_progress(
    patience: int, losses: list[float], epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = iter(losses)
    monkeypatch.setattr(training, "separation", lambda fusion, held: next(script))
    done: list[int] = []
    recipe = replace(RECIPE, epochs=8, patience=patience, batch_size=4)
    train_fusion(CONFIG, None, lessons(2), held_out(), recipe, lambda a, b: done.append(a))
    assert max(done) == 2 * epochs


def test_a_start_that_training_only_spoils_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[dict[str, Any]] = []

    def spoiled(fusion: Fusion, held: Any) -> float:
        kept.append(weights(fusion))
        return float(len(kept))

    monkeypatch.setattr(training, "separation", spoiled)
    found = weights(train_fusion(CONFIG, None, lessons(2), held_out(), RECIPE))
    assert len(kept) == RECIPE.patience + 1
    assert all(torch.equal(found[name], kept[0][name]) for name in found)


def test_without_held_out_texts_all_epochs_are_trained() -> None:
    done: list[tuple[int, int]] = []
    train_fusion(CONFIG, None, lessons(2), None, replace(RECIPE, patience=1), lambda a, b: done.append((a, b)))
    assert [a for a, _ in done] == list(range(1, done[0][1] + 1))


def test_the_seed_decides_all_and_the_caller_s_random_state_is_left_alone() -> None:
    found = []
    for seed in (3, 3, 4):
        state = torch.get_rng_state()
        found.append(weights(train_fusion(CONFIG, None, lessons(4), held_out(), replace(RECIPE, seed=seed))))
        assert torch.equal(torch.get_rng_state(), state)
        torch.rand(1)  # another state for the next
    first, second, other = found
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def with_answers() -> Lessons:
    """Four stored answers, one an intent, in words that share nothing with the questions."""
    plain = lessons(8)
    answers = units(np.array([5, 4, 7, 6]), 9)
    return replace(plain, answers=answers, answer_of=plain.labels)


def test_stored_answers_are_learned_with_the_questions() -> None:
    taught = with_answers()
    assert taught.answers is not None
    right = []
    for each in (taught, replace(taught, answers=None)):
        fusion = train_fusion(CONFIG, None, each, None, replace(RECIPE, epochs=20))
        answers, asked = encode(fusion, taught.answers), encode(fusion, held_out()[0])
        right.append(((asked @ answers.T).argmax(axis=1) == held_out()[1]).mean())
    assert right[0] > 0.75
    assert right[0] > right[1] + 0.2


def test_the_loss_of_a_batch_with_answers_is_the_sum_of_both() -> None:
    taught = with_answers()
    torch.manual_seed(0)
    fusion = Fusion(CONFIG).eval()
    rows = np.array([0, 1, 8, 9, 16])
    plain = training.contrast(fusion, replace(taught, answers=None), rows, 8)
    both = training.contrast(fusion, taught, rows, 8)
    assert taught.answers is not None
    z, a = encode(fusion, taught.units.pick(rows)), encode(fusion, taught.answers)[:3]
    logits = z @ a.T / training.TEMPERATURE
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -log_p[np.arange(5), [0, 0, 1, 1, 2]].mean()
    assert float((both - plain).detach()) == pytest.approx(expected, rel=1e-3)


def test_texts_without_a_stored_answer_are_left_out_of_its_loss() -> None:
    taught = with_answers()
    nobody = replace(taught, answer_of=np.full(32, -1))
    torch.manual_seed(0)
    fusion = Fusion(CONFIG).eval()
    rows = np.arange(6)
    plain = training.contrast(fusion, replace(taught, answers=None), rows, 8)
    assert float(training.contrast(fusion, nobody, rows, 8).detach()) == pytest.approx(float(plain.detach()))


def test_contrastive_loss_agrees_with_a_double_loop() -> None:
    z = torch.nn.functional.normalize(torch.randn(7, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    labels = [0, 0, 0, 1, 1, 2, 3]
    losses = []
    for i in range(7):
        friends = [j for j in range(7) if j != i and labels[j] == labels[i]]
        others = [float(torch.exp(z[i] @ z[j] / training.TEMPERATURE)) for j in range(7) if j != i]
        if friends:
            log_p = [float(z[i] @ z[j] / training.TEMPERATURE) - np.log(sum(others)) for j in friends]
            losses.append(-np.mean(log_p))
    assert float(contrastive(z, torch.tensor(labels))) == pytest.approx(np.mean(losses), rel=1e-4)


def test_a_batch_without_friends_has_no_loss_but_a_gradient() -> None:
    z = torch.randn(3, 4, requires_grad=True)
    loss = contrastive(z, torch.tensor([0, 1, 2]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert z.grad is not None
    assert not z.grad.any()


def test_batches_hold_every_text_once_and_intents_in_twos() -> None:
    labels = np.array([0] * 7 + [1] * 4 + [2])
    found = list(batches(labels, 4, np.random.default_rng(0)))
    assert sorted(np.concatenate(found).tolist()) == list(range(12))
    assert max(len(rows) for rows in found) <= 4
    assert sum(int((np.bincount(labels[rows]) > 1).any()) for rows in found) >= len(found) - 1


def test_the_rate_rises_then_falls_to_nearly_nothing() -> None:
    rates = [rate(done, 100) for done in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == 1
    assert rates[-1] < 0.02
    assert rate(0, 1) == 1


def test_a_loss_that_is_not_finite_raises() -> None:
    broken = lessons(2)
    words: Any = broken.units.seen["toy"].words
    words[0] = np.nan
    with pytest.raises(FloatingPointError, match="learning_rate"):
        train_fusion(CONFIG, None, broken, None, RECIPE)
