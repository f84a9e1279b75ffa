"""Several heads as one: the mixture is the average that one would write by hand, on disk and after teaching, too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dialogue.posterior.base import Predictive
from dialogue.posterior.conjugate import ConjugatePosterior
from dialogue.posterior.head import Head, HeadConfig, fit_head
from dialogue.posterior.intent_prior import IntentPrior
from dialogue.posterior.kernel import View, ViewKernel, take
from dialogue.posterior.mixture import Mixture, fit_mixture, load_head
from tests.dialogue.toys import labelled, rows_of, two_views

LABELS = labelled(5, 6)
OWN = ("f", "f 2", "f 3")
START = {name: ViewKernel(0.5, 2.0) for name in ("dense", "sparse", "f")}
SAMPLES = 96


def views(labels: Any, seed: int = 0) -> dict[str, View]:
    """Two views that all heads share, and one for each of three."""
    own = {name: rows_of(labels, 8, 0.7, seed + 10 + number) for number, name in enumerate(OWN)}
    return {**two_views(labels, seed=seed), **own}


def mixture(own: tuple[str, ...] = OWN, labels: Any = LABELS) -> Mixture:
    seen = {name: view for name, view in views(labels).items() if name not in OWN or name in own}
    config = HeadConfig(samples=SAMPLES)
    return fit_mixture(config, "f", own, seen, labels, int(labels.max()) + 1, START, seed=3, told={"r_hat": 1.5})


def head(name: str, seed: int, samples: int) -> Head:
    """The head on one of the three alone."""
    seen = views(LABELS)
    alone = {"dense": seen["dense"], "sparse": seen["sparse"], "f": seen[name]}
    return fit_head(HeadConfig(samples=samples), alone, LABELS, 5, START, seed=seed)


def asked(name: str) -> dict[str, View]:
    seen = views(labelled(5, 3), seed=40)
    return {"dense": seen["dense"], "sparse": seen["sparse"], "f": seen[name]}


def same(a: Predictive, b: Predictive, tolerance: float = 1e-6) -> None:
    for name in Predictive.__slots__:
        assert np.allclose(getattr(a, name), getattr(b, name), atol=tolerance), name


@pytest.fixture(scope="module")
def mixed() -> Mixture:
    return mixture()


def test_the_mixture_is_the_average_written_by_hand(mixed: Mixture) -> None:
    found = mixed.predict(views(labelled(5, 3), seed=40))
    each = [head(name, 3 + number, SAMPLES // 3).predict(asked(name)) for number, name in enumerate(OWN)]
    assert found.draws.shape == (SAMPLES, 15, 5)
    assert np.allclose(found.draws, np.concatenate([one.draws for one in each]), atol=1e-6)
    for name in ("mean", "known", "unknown"):
        assert np.allclose(getattr(found, name), np.mean([getattr(one, name) for one in each], axis=0), atol=1e-6)
    # Of a mixture the entropy is what the heads have, and what they disagree by: that is mutual information.
    inner = np.mean([one.mutual_information for one in each], axis=0)
    between = found.entropy - np.mean([one.entropy for one in each], axis=0)
    assert np.allclose(found.mutual_information, inner + between, atol=1e-5)
    assert between.max() > 0.01
    assert (found.lower <= found.mean).all()
    assert (found.mean <= found.upper).all()


def test_a_mixture_of_one_is_that_head() -> None:
    one, alone = mixture(("f",)), head("f", 3, SAMPLES)
    same(one.predict(asked("f")), alone.predict(asked("f")))
    for name in ("known", "right", "unknown"):
        assert np.allclose(getattr(one.left_out, name), getattr(alone.left_out, name))
    assert (one.weights, one.evidence) == (pytest.approx(alone.weights), pytest.approx(alone.evidence))


def test_texts_alone_and_in_blocks_are_the_same(mixed: Mixture, monkeypatch: pytest.MonkeyPatch) -> None:
    new = views(labelled(5, 3), seed=40)
    whole = mixed.predict(new)
    monkeypatch.setattr("dialogue.posterior.predictive.BLOCK", 4)
    same(mixed.predict(new), whole, 1e-5)
    assert mixed.predict(new, keep_draws=False).draws.shape == (0, 15, 5)


def test_contributions_are_the_mean_of_those_of_the_heads(mixed: Mixture) -> None:
    new = take(views(labelled(5, 1), seed=40), np.array([2]))
    found = mixed.contributions(mixed.by_view(new, mixed.views), 2)
    each = []
    for name, one in mixed.heads.items():
        own = {"dense": new["dense"], "sparse": new["sparse"], "f": new[name]}
        each.append(one.contributions(one.by_view(own, one.views), 2))
    wanted = {name: float(np.mean([one.get(name, 0.0) for one in each])) for name in ("dense", "sparse", "f")}
    assert found == pytest.approx(wanted)
    assert sum(found.values()) == pytest.approx(1)


def test_left_out_scores_are_the_best_mean_probability(mixed: Mixture) -> None:
    known = np.zeros((len(LABELS), 5))
    for one in mixed.heads.values():
        # Left out one by one: all of it is fitted again without the text, with the kernel and noise it had.
        assert isinstance(one.posterior, ConjugatePosterior)
        for i in range(len(LABELS)):
            rest = np.flatnonzero(np.arange(len(LABELS)) != i)
            gram = one.process.kernel(one.views, one.views).astype(float)
            matrix = gram[np.ix_(rest, rest)] + np.diag(one.process.noise[rest])
            mean = gram[i, rest] @ np.linalg.solve(matrix, (LABELS[rest, None] == np.arange(5)).astype(float))
            none = one.unknown.at(mean[None], gram[i, rest].max()[None], one.config.unknown_prior)
            known[i] += (1 - none) * one.posterior.left_out_link_(mean.astype(np.float32)) / 3
    assert np.allclose(mixed.left_out.known, known.max(axis=1), atol=1e-3)
    assert np.array_equal(mixed.left_out.right, known.argmax(axis=1) == LABELS)
    assert mixed.left_out.unknown.mean() < mixed.left_out.known.mean() - 0.2


@pytest.mark.parametrize("labels", [labelled(1, 3), labelled(2, 1), labelled(3, 1)])
def test_the_smallest_bots_have_mixtures(labels: Any) -> None:
    found = mixture(labels=labels).predict(views(labels))
    assert (found.mean.argmax(axis=1) == labels).all()
    assert np.isfinite(found.entropy).all()


@pytest.mark.parametrize("label", [1, 5])
def test_each_head_is_taught_in_closed_form(mixed: Mixture, label: int) -> None:
    new = take(views(labelled(5, 3), seed=40), np.array([7]))
    taught = mixed.teach(new, label)
    assert taught.predict(new).mean[0].argmax() == label
    for name, one in mixed.heads.items():
        own = {"dense": new["dense"], "sparse": new["sparse"], "f": new[name]}
        alone = one.teach(own, label).process
        assert np.allclose(alone.alpha, taught.heads[name].process.alpha)
        assert alone.kernel is one.process.kernel
    assert len(taught.left_out.known) == len(LABELS) + 1


def test_it_comes_back_from_disk_and_holds_what_is_shared_once(mixed: Mixture, tmp_path: Path) -> None:
    prior = IntentPrior(10.0, (0.2,) * 5, (3.0, 0.0, 0.0, 0.0, 9.0), (0, 1, 2, 3, 4))
    told = mixed.expecting(prior)
    told.save(tmp_path)
    again = load_head(tmp_path)
    assert isinstance(again, Mixture)
    new = views(labelled(5, 3), seed=40)
    same(again.predict(new), told.predict(new))
    assert again.intent_prior == prior
    assert again.predict(new).mean[:, 4].sum() > mixed.predict(new).mean[:, 4].sum()
    assert again.notes() == pytest.approx(told.notes())
    assert (again.notes()["r_hat"], again.notes()["heads"]) == (1.5, 3)
    assert np.array_equal(again.left_out.known, mixed.left_out.known)
    first, *others = again.heads.values()
    assert all(other.views["dense"] is first.views["dense"] for other in others)
    assert not np.array_equal(first.views["f"], others[0].views["f"])


@pytest.mark.parametrize("file", ["mixture.json", "left_out.safetensors", "1/head.json"])
def test_a_damaged_mixture_is_named(mixed: Mixture, file: str, tmp_path: Path) -> None:
    mixed.save(tmp_path)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:5])
    with pytest.raises(ValueError, match=file.rpartition("/")[2].replace(".", r"\.")):
        load_head(tmp_path)


def test_a_plain_head_is_loaded_as_one(mixed: Mixture, tmp_path: Path) -> None:
    replace(mixed.first).save(tmp_path)
    assert isinstance(load_head(tmp_path), Head)
