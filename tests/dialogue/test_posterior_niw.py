"""Gaussian classes under the conjugate prior, against scipy's t, brute force and refits."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from scipy.stats import invwishart, multivariate_normal, multivariate_t, wishart

from dialogue.posterior.family import Choice
from dialogue.posterior.gaussian import Gaussians, left_out, log_density, uninformed
from dialogue.posterior.gaussian_draws import Draws, bartlett
from dialogue.posterior.head import HeadConfig, assemble
from dialogue.posterior.kernel import take
from dialogue.posterior.landmarks import choose_landmarks, training_features
from dialogue.posterior.niw import NiwPosterior, outside_features
from dialogue.posterior.process import fit_process
from tests.dialogue.toys import KERNEL, fitted, labelled, two_views

Array = Any
COVARIANCES = pytest.mark.parametrize("shared", [True, False])


def prior(classes: int, dimension: int, shared: bool) -> Gaussians:
    mean = np.linspace(-1, 1, dimension)
    return uninformed(classes, mean, 0.7, strength=0.4, confidence=3.0, covariances=1 if shared else classes)


def data(classes: int, each: int, dimension: int, seed: int = 0) -> tuple[Array, Array, Array]:
    """Vectors, labels, weights; the last class has none."""
    rng = np.random.default_rng(seed)
    labels = labelled(classes - 1, each)
    vectors = 2 * rng.standard_normal((classes, dimension))[labels] + rng.standard_normal((len(labels), dimension))
    return vectors, labels, np.where(np.arange(len(labels)) % 4 == 1, 0.25, 1.0)


def oracle(start: Gaussians, vectors: Array, labels: Array, weights: Array, new: Array, label: int) -> Array:
    """Log predictive density of one class, written as in Murphy 2007 (section 9), with scipy's t."""
    kappa, d = start.strength, vectors.shape[1]
    scale, freedom = start.scale[0].copy(), start.freedom[0]
    for k in range(len(start.counts)) if start.shared else [label]:
        some, w = vectors[labels == k], weights[labels == k]
        freedom += w.sum()
        if len(some):
            centre = np.average(some, axis=0, weights=w)
            scale += (w[:, None] * (some - centre)).T @ (some - centre)
            away = centre - start.means[0]
            scale += kappa * w.sum() / (kappa + w.sum()) * np.outer(away, away)
    some, w = vectors[labels == label], weights[labels == label]
    certainty = kappa + w.sum()
    mean = (kappa * start.means[0] + w @ some) / certainty
    f = freedom - d + 1
    return multivariate_t(mean, scale * (certainty + 1) / (certainty * f), df=f).logpdf(new)


@COVARIANCES
def test_the_predictive_is_scipys_t_and_a_class_without_vectors_has_the_priors(shared: bool) -> None:
    start, (vectors, labels, weights) = prior(4, 3, shared), data(4, 6, 3)
    new = np.random.default_rng(1).standard_normal((5, 3))
    known = start.learn_all(vectors, labels, weights)
    found = log_density(known, known.roots(), new)
    for label in range(4):
        assert found[:, label] == pytest.approx(oracle(start, vectors, labels, weights, new, label), abs=1e-9)


@COVARIANCES
def test_leaving_out_is_learning_the_others(shared: bool) -> None:
    start, (vectors, labels, weights) = prior(4, 3, shared), data(4, 5, 3)
    found = left_out(start.learn_all(vectors, labels, weights), vectors, labels, weights)
    for i in range(len(labels)):
        others = np.arange(len(labels)) != i
        known = start.learn_all(vectors[others], labels[others], weights[others])
        assert found[i] == pytest.approx(log_density(known, known.roots(), vectors[i : i + 1])[0], abs=1e-7)


@COVARIANCES
def test_learning_one_by_one_is_learning_all_and_a_new_class_begins_as_the_prior(shared: bool) -> None:
    start, (vectors, labels, weights) = prior(5, 3, shared), data(5, 6, 3)
    known = prior(2, 3, shared)
    for vector, label, weight in zip(vectors, labels, weights, strict=True):
        while len(known.counts) <= label:
            known = known.grown(start.first())
        known = known.learn(vector, int(label), float(weight))
    known = known.grown(start.first())
    whole = start.learn_all(vectors, labels, weights)
    for name in ("counts", "means", "scale", "freedom"):
        assert np.allclose(getattr(known, name), getattr(whole, name), atol=1e-10)


@COVARIANCES
def test_known_means_and_covariance_are_recovered(shared: bool) -> None:
    rng = np.random.default_rng(3)
    truth = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]])
    means = 3 * rng.standard_normal((3, 3))
    labels = labelled(3, 4000)
    vectors = means[labels] + rng.multivariate_normal(np.zeros(3), truth, len(labels))
    known = prior(3, 3, shared).learn_all(vectors, labels, np.ones(len(labels)))
    assert np.allclose(known.means, means, atol=0.1)
    for scale, freedom in zip(known.scale, known.freedom, strict=True):
        assert np.allclose(scale / (freedom - 3 - 1), truth, atol=0.1)


@COVARIANCES
def test_draws_are_those_of_brute_force(shared: bool) -> None:
    """Mean and deviation of the difference of two classes' log likelihoods at a text, means and covariances drawn."""
    start, (vectors, labels, weights) = prior(3, 3, shared), data(3, 6, 3)
    known = start.learn_all(vectors, labels, weights)
    new, rng = np.array([[0.4, -0.3, 1.1]]), np.random.default_rng(5)
    samples = 1600
    covariances = [invwishart(f, s).rvs(samples, rng) for f, s in zip(known.freedom, known.scale, strict=True)]
    expected = np.empty((samples, 3))
    for k in range(3):
        for s in range(samples):
            covariance = covariances[0 if shared else k][s]
            mean = rng.multivariate_normal(known.means[k], covariance / known.certainty[k])
            expected[s, k] = multivariate_normal(mean, covariance).logpdf(new[0])
    found = np.concatenate(  # a few factors of the shared covariance at a time, so many of them
        [Draws(known, 16, seed).log_likelihoods(new)[:, 0] for seed in range(samples // 16)]
    )
    for a, b in ((0, 1), (0, 2)):
        one, other = found[:, a] - found[:, b], expected[:, a] - expected[:, b]
        assert one.mean() == pytest.approx(other.mean(), abs=5 * other.std() / np.sqrt(samples))
        assert one.std() == pytest.approx(other.std(), rel=0.12)
        assert np.quantile(one, [0.1, 0.9]) == pytest.approx(np.quantile(other, [0.1, 0.9]), abs=0.15 * other.std())


def test_the_mean_density_over_the_draws_is_the_predictive() -> None:
    vectors, labels, weights = data(3, 8, 2)
    known = prior(3, 2, False).learn_all(vectors, labels, weights)
    new = np.array([[0.5, 0.2], [-1.0, 2.0]])
    found = np.exp(Draws(known, 40_000, 0).log_likelihoods(new).astype(float)).mean(axis=0) / (2 * np.pi)
    assert found == pytest.approx(np.exp(log_density(known, known.roots(), new)), rel=0.05)


def test_bartlett_makes_wisharts() -> None:
    lower = bartlett(9.5, 3, 20_000, 0).astype(float)
    drawn = lower @ lower.transpose(0, 2, 1)
    assert np.allclose(drawn.mean(axis=0), 9.5 * np.eye(3), atol=0.15)
    assert drawn.var(axis=0) == pytest.approx(wishart(9.5, np.eye(3)).var(), rel=0.06)


def test_a_landmark_is_seen_as_its_twin_would_be_by_the_others() -> None:
    process = fitted(np.array([0, 0, 0, 1, 1, 2])).process
    landmarks = choose_landmarks(process, 1024)
    found, whole = outside_features(process, landmarks), training_features(process, landmarks)
    assert np.array_equal(found[5], whole[5])  # alone in its intent
    gram = process.kernel.gram(process.views).astype(float) + 1e-4 * np.eye(6)
    for i in range(5):
        others = np.flatnonzero(np.arange(6) != i)
        twin = gram[i].copy()
        twin[i] = gram[i, others] @ np.linalg.solve(gram[np.ix_(others, others)], gram[others, i])
        expected = landmarks.factor.astype(float) @ twin
        assert found[i] == pytest.approx(expected, abs=2e-3)


def before(posterior: NiwPosterior, classes: int) -> Gaussians:
    """The prior of so many classes."""
    one, count = posterior.prior_, 1 if posterior.known_.shared else classes
    return Gaussians(
        one.strength,
        np.zeros(classes),
        np.repeat(one.means, classes, axis=0),
        np.repeat(one.scale, count, axis=0),
        np.repeat(one.freedom, count),
    )


@pytest.mark.parametrize("label", [2, 6])
def test_teaching_is_the_closed_form_refit_in_the_same_space(label: int) -> None:
    """One more text of an intent, and the first one of a new intent."""
    labels = labelled(6, 5)
    fit = fitted(labels)
    posterior = NiwPosterior().fit(fit, samples=16, seed=0)
    views = two_views(np.append(labels, 6), seed=40)
    noise = np.full(31, 0.1, np.float32)
    after = fit_process(KERNEL, views, np.append(labels, label), max(6, label + 1), noise)
    taught = posterior.teach(after.process)
    rows = after.process.kernel(take(views, np.array([30])), take(views, posterior.landmarks_.rows))
    vector = posterior.space_(rows @ posterior.landmarks_.factor.T)
    features = outside_features(fit.process, posterior.landmarks_)
    vectors = np.concatenate([posterior.space_(features), vector])
    again = before(posterior, max(6, label + 1)).learn_all(vectors, after.process.labels, np.ones(31))
    for name in ("counts", "means", "scale", "freedom"):
        assert np.allclose(getattr(taught.known_, name), getattr(again, name), atol=1e-6)
    assert len(posterior.known_.counts) == 6
    latent = after.process.latent(after.process.rows(take(views, np.array([30]))))
    assert taught.draw(latent).mean(axis=0)[0].argmax() == label
    copied = NiwPosterior()
    copied.__dict__.update(taught.__dict__, known_=again, _draws=None)
    assert np.allclose(copied.draw(latent), taught.draw(latent), atol=1e-6)


@COVARIANCES
@pytest.mark.parametrize("label", [1, 4])
def test_draws_after_one_more_are_drawn_anew(shared: bool, label: int) -> None:
    vectors, labels, weights = data(4, 6, 3)
    first = prior(4, 3, shared)
    known = first.learn_all(vectors, labels, weights)
    draws = Draws(known, 9, 0)
    while len(known.counts) <= label:
        known = known.grown(prior(4, 3, shared).first())
    known = known.learn(np.array([1.0, -1.0, 0.5]), label)
    found, expected = draws.learned(known, label), Draws(known, 9, 0)
    assert np.allclose(found(vectors), expected(vectors), atol=1e-6)
    assert np.allclose(np.stack(found.roots), np.stack(expected.roots), atol=1e-12)


@COVARIANCES
def test_the_update_of_a_large_bot_takes_milliseconds(shared: bool) -> None:
    rng = np.random.default_rng(0)
    covariances = 1 if shared else 150
    known = uninformed(150, np.zeros(128), 1.0, strength=0.3, confidence=128.0, covariances=covariances)
    known = known.learn_all(rng.standard_normal((1500, 128)), labelled(150, 10), np.ones(1500))
    vector = rng.standard_normal(128)
    taken = []
    for _ in range(7):
        start = time.process_time()
        known.learn(vector, 7)
        taken.append(time.process_time() - start)
    assert min(taken) < 0.01


def test_teaching_through_the_head_is_the_posteriors_own() -> None:
    head = assemble(HeadConfig(Choice("niw"), samples=16), fitted(labelled(4, 3)), float("nan"), seed=0)
    new = take(two_views(labelled(5, 1), seed=50), np.array([4]))
    before = head.posterior
    assert isinstance(before, NiwPosterior)
    taught = head.teach(new, 4)
    assert isinstance(taught.posterior, NiwPosterior)
    assert taught.posterior.space_ is before.space_
    assert taught.posterior.known_.counts.tolist() == [3, 3, 3, 3, 1]
    found = taught.predict(new)
    assert found.mean.shape == (1, 5)
    assert found.mean[0].argmax() == 4


def test_an_intent_without_examples_takes_what_no_other_explains() -> None:
    labels = labelled(3, 6)
    fit = fit_process(KERNEL, two_views(labels), labels, 4, np.full(18, 0.1, np.float32))
    posterior = NiwPosterior().fit(fit, samples=16, seed=0)
    strange = take(two_views(labelled(9, 1), seed=77), np.array([8]))
    views = two_views(labels)
    process = fit.process
    own, other = (posterior.draw(process.latent(process.rows(v))).mean(axis=0)[:, 3] for v in (views, strange))
    assert own.max() < other[0]


def test_a_hint_counts_for_as_much_less_as_its_label_is_looser() -> None:
    labels = labelled(3, 4)
    noise = np.where(np.arange(12) % 4 == 0, 0.4, 0.1).astype(np.float32)
    fit = fit_process(KERNEL, two_views(labels), labels, 3, noise)
    posterior = NiwPosterior().fit(fit, samples=4, seed=0)
    assert posterior.known_.counts == pytest.approx(np.full(3, 3.25), abs=1e-6)
