"""A posterior of the whole fusion: draws from it, and whole bots that stand on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dialogue.fusion.sampling as sampling
from dialogue.fusion.sampling import arrays_of, cosines, sample_fusions
from dialogue.fusion.training import contrast, train_fusion, untrained
from dialogue.learning.heard import Said
from dialogue.learning.review import worth_asking
from dialogue.model import Model
from dialogue.posterior.head import Head
from dialogue.posterior.mixture import Mixture
from dialogue.report.contributions import contributions
from dialogue.report.labels import left_out
from dialogue.training.trainer import train_model, worst
from tests.dialogue.test_fusion_training import CONFIG, RECIPE, held_out, lessons
from tests.dialogue.tinybots import ANSWERS, WORDS, config, corpus

TEXTS = ("pizza now", "storm and dogs", "router please", "", "zzzz")
FUSION = {"epochs": 2, "learning_rate": 3e-3}


def drawn(count: int = 3, seed: int = 0) -> Any:
    trained = train_fusion(CONFIG, None, lessons(), held_out(), RECIPE)
    return trained, *sample_fusions(trained, None, lessons(), held_out()[0], replace(RECIPE, seed=seed), count)


def test_draws_differ_and_the_seed_decides_them() -> None:
    state = torch.get_rng_state()
    trained, first, notes = drawn()
    assert torch.equal(torch.get_rng_state(), state)
    (_, again, same), (_, other, _) = drawn(), drawn(seed=1)
    weights = [np.concatenate([w.ravel() for w in arrays_of(fusion)]) for fusion in (trained, *first)]
    assert len(weights) == 4
    assert min(np.abs(a - b).max() for i, a in enumerate(weights) for b in weights[:i]) > 1e-4
    for a, b, c in zip(first, again, other, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(arrays_of(a), arrays_of(b), strict=True))
        assert not all(np.array_equal(x, y) for x, y in zip(arrays_of(a), arrays_of(c), strict=True))
    assert notes == same
    assert notes["r_hat"] > 0.5
    assert notes["effective_sample_size"] > 0


def test_draws_stray_from_the_start_as_far_as_training_did() -> None:
    trained, found, _ = drawn()
    start = arrays_of(untrained(CONFIG, None, RECIPE.seed))
    far = [np.sqrt(np.square(w - s).mean()) for w, s in zip(arrays_of(trained), start, strict=True)]
    for fusion in found:
        strayed = [np.sqrt(np.square(w - s).mean()) for w, s in zip(arrays_of(fusion), start, strict=True)]
        assert 0.3 < np.median(np.array(strayed) / far) < 3


def test_cold_draws_descend_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a temperature the chain only goes down: the energy of the texts and the prior falls."""
    monkeypatch.setattr(sampling, "TEMPERATURE", 0.0)
    trained, found, _ = drawn(1)
    start = arrays_of(untrained(CONFIG, None, RECIPE.seed))
    scales = [np.sqrt(np.square(w - s).mean()) for w, s in zip(arrays_of(trained), start, strict=True)]

    def energy(fusion: Any) -> float:
        taught = lessons()
        with torch.inference_mode():
            loss = float(contrast(fusion.eval(), taught, np.arange(len(taught.labels)), 8))
        strayed = zip(arrays_of(fusion), start, scales, strict=True)
        return len(taught.labels) * loss + 0.5 * sum(float(np.square((w - s) / d).sum()) for w, s, d in strayed)

    assert energy(found[0]) < energy(trained) - 10


def test_a_fusion_that_training_did_not_move_stays() -> None:
    start = untrained(CONFIG, None, RECIPE.seed)
    found, notes = sample_fusions(start, None, lessons(), held_out()[0], RECIPE, 2)
    for fusion in found:
        assert all(np.array_equal(a, b) for a, b in zip(arrays_of(fusion), arrays_of(start), strict=True))
    assert notes["r_hat"] == 1


def test_what_is_watched_are_cosines_of_pairs() -> None:
    fusion, units = untrained(CONFIG, None, 0), held_out()[0].pick(np.arange(5))
    found = cosines(fusion, units)
    features = fusion.eval()
    whole = sampling.encode(features, units)
    assert found == pytest.approx([whole[0] @ whole[1], whole[2] @ whole[3]], abs=1e-6)


def test_of_several_chains_the_worst_is_told() -> None:
    notes = [{"r_hat": 1.2, "effective_sample_size": 5.0}, {"r_hat": 1.1, "effective_sample_size": 3.0}]
    assert worst(notes) == {"r_hat": 1.2, "effective_sample_size": 3.0}
    assert worst([{}, {}]) == {}


def trained(folder: Path, posterior: dict[str, Any], each: int = 10, **options: Any) -> Model:
    section = {"samples": 32, **posterior}
    return train_model(config(folder, fusion=FUSION, posterior=section, **options), corpus(each))


@pytest.fixture(scope="module", params=["ensemble", "mcmc"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return trained(tmp_path_factory.mktemp("deep"), {"type": request.param, "of": "fusion", "members": 2})


def test_a_whole_bot_stands_on_several_fusions(model: Model) -> None:
    assert isinstance(model.head, Mixture)
    assert [list(member.fusions) for member in model.members] == [["fusion", "fusion 2"]] * 2
    right = 0
    for name in WORDS:
        belief = model.parse(f"{WORDS[name].split()[0]} please")
        assert belief.top is not None
        right += belief.top.name == name.partition("/")[0]
        assert set(belief.contributions) <= {"words", "gru", "fusion"}
        assert sum(belief.contributions.values()) == pytest.approx(1)
    assert right >= 4
    assert ("r_hat" in model.head.notes()) == ("effective_sample_size" in model.head.notes())
    assert set(model.head.weights) == {"words", "gru", "fusion"}
    whole = model.predict(TEXTS)
    for b, text in enumerate(TEXTS):
        alone = model.parse(text)
        assert alone.unknown == pytest.approx(float(whole.unknown[b]), abs=1e-4)


def test_such_a_bot_comes_back_from_disk(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path)
    again = Model.load(tmp_path)
    assert np.allclose(again.predict(TEXTS).mean, model.predict(TEXTS).mean, atol=1e-3)
    assert [sorted(member.fusions) for member in again.members] == [["fusion", "fusion 2"]] * 2


def test_such_a_bot_is_taught(model: Model) -> None:
    taught = model.teach("zzzz", "food")
    assert taught.parse("zzzz").intents[0].name == "food"
    assert model.parse("zzzz").intents[0].mean < taught.parse("zzzz").intents[0].mean


def test_fusions_that_differ_leave_an_interval_where_answers_are_ranked(model: Model) -> None:
    found = model.select("wifi please", list(ANSWERS.values()))
    assert sum(candidate.mean for candidate in found) == pytest.approx(1)
    assert all(one.lower < one.mean < one.upper for one in found)


def test_reports_and_reviews_look_into_such_a_bot(model: Model) -> None:
    found = contributions(model, TEXTS)
    assert {one.name for one in found} == {"words", "gru", "fusion"}
    assert sum(one.weight for one in found) == pytest.approx(1)
    assert sum(one.share for one in found) == pytest.approx(1)
    assert left_out(model.head).shape == (50, 5)
    asked = worth_asking(model, [Said(text, 1, 0) for text in TEXTS[:3]], 2)
    assert len({question.text for question in asked}) == 2


@pytest.mark.parametrize("seed", [0, 5])
def test_an_ensemble_of_one_is_the_plain_bot(seed: int, tmp_path: Path) -> None:
    one = trained(tmp_path, {"type": "ensemble", "of": "fusion", "members": 1}, seed=seed)
    plain = trained(tmp_path, {}, seed=seed)
    assert isinstance(one.head, Mixture)
    assert isinstance(plain.head, Head)
    a, b = one.predict(TEXTS), plain.predict(TEXTS)
    for name in ("mean", "lower", "upper", "unknown", "mutual_information"):
        assert np.allclose(getattr(a, name), getattr(b, name), atol=1e-5)
    assert np.allclose(one.head.left_out.known, plain.head.left_out.known, atol=1e-6)


def test_the_seed_decides_a_sampled_bot(tmp_path: Path) -> None:
    section = {"type": "mcmc", "of": "fusion", "members": 2}
    first, again = (trained(tmp_path, section).predict(TEXTS).mean for _ in range(2))
    assert np.array_equal(first, again)


def test_where_there_are_too_few_texts_for_a_fusion_there_is_one_head(tmp_path: Path) -> None:
    few = trained(tmp_path, {"type": "mcmc", "of": "fusion"}, each=5)
    assert isinstance(few.head, Head)
    assert few.head.config.posterior.type == "conjugate"
    assert few.parse("pizza now").top is not None
