"""How the views are weighed: noise loses, the evidence grows, and the smallest bots fall back on the prior."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dialogue.posterior.weighing as weighing_module
from dialogue.posterior.kernel import MultiViewKernel, ViewKernel, cosines
from dialogue.posterior.link import DEFAULT_KNEE, Link
from dialogue.posterior.process import fit_process
from dialogue.posterior.weighing import (
    DEFAULT_NOISE,
    DEFAULT_POWER,
    PRIOR_STRENGTH,
    balanced_sample,
    inverted,
    leave_one_out_loss,
    link_loss,
    normalised,
    weigh,
)
from tests.dialogue.toys import labelled, noise_rows, rows_of, sparse

EVEN = {"good": ViewKernel(0.5, 3.0), "noise": ViewKernel(0.5, 3.0)}


def good_and_noise(labels: Any) -> dict[str, Any]:
    return {"good": rows_of(labels, 10, 1.2, 0), "noise": noise_rows(len(labels), 10, 1)}


def test_a_view_of_pure_noise_has_nothing_to_say_of_new_texts() -> None:
    """It loses weight, and what is left is so steep that it only adds to the noise of the labels."""
    labels = labelled(20, 10)
    both = {"good": rows_of(labels, 40, 2.0, 0), "noise": noise_rows(200, 40, 1)}
    weighed = weigh(both, labels, EVEN, seed=0)
    alone = weigh({"good": both["good"]}, labels, {"good": ViewKernel(1.0, 3.0)}, seed=0)
    assert weighed.kernel.parts["noise"].weight < 0.4
    assert weighed.evidence > alone.evidence - 0.02
    fit = fit_process(weighed.kernel, both, labels, 20, np.full(200, weighed.noise, np.float32))
    new = {"good": rows_of(labels, 40, 2.0, 0)[::7], "noise": noise_rows(29, 40, 2)}
    said = {name: np.abs(k @ fit.process.alpha).sum() for name, k in weighed.kernel.by_view(new, both).items()}
    assert said["noise"] < 0.02 * said["good"]


def test_a_sparse_view_is_weighed_like_its_dense_twin() -> None:
    labels = labelled(5, 5)
    csr = sparse(rows_of(labels, 20, 0.6, 0))
    start = {"one": ViewKernel(0.5, 3.0), "noise": ViewKernel(0.5, 3.0)}
    found = [
        weigh({"one": view, "noise": noise_rows(25, 10, 1)}, labels, start, seed=0) for view in (csr, csr.toarray())
    ]
    assert found[0].evidence == pytest.approx(found[1].evidence, abs=1e-4)


def test_the_evidence_is_better_than_at_the_start() -> None:
    labels = labelled(8, 8)
    views = good_and_noise(labels)
    cosine = np.stack([cosines(view, view) for view in views.values()])  # [V, N, N]
    before = -leave_one_out_loss(np.log([0.5, 0.5, 3.0, 3.0, DEFAULT_NOISE, DEFAULT_POWER]), cosine, labels)[0]
    assert weigh(views, labels, EVEN, seed=0).evidence > before + 0.1


def test_the_loss_is_that_of_the_process_s_own_leave_one_out() -> None:
    labels = labelled(5, 4)
    views = good_and_noise(labels)
    theta = np.log([0.8, 0.2, 2.0, 1.0, 0.2, 3.0])
    found, _ = leave_one_out_loss(theta, np.stack([cosines(view, view) for view in views.values()]), labels)
    kernel = MultiViewKernel({"good": ViewKernel(0.8, 2.0), "noise": ViewKernel(0.2, 1.0)})
    fit = fit_process(kernel, views, labels, 5, np.full(20, 0.2, np.float32))
    log_p = np.log(Link(3.0, DEFAULT_KNEE)(fit.example_out.mean))[np.arange(20), labels]
    assert found == pytest.approx(-log_p.mean(), abs=1e-4)


def test_the_gradient_of_the_loss_agrees_with_finite_differences() -> None:
    labels = labelled(5, 4)
    cosine = np.stack([cosines(view, view) for view in good_and_noise(labels).values()])
    theta = np.log([0.8, 0.2, 2.0, 1.0, 0.2, 3.0])
    gradient = leave_one_out_loss(theta, cosine, labels)[1]
    for place in range(len(theta)):
        step = np.zeros(len(theta))
        step[place] = 1e-2
        above, below = (leave_one_out_loss(theta + sign * step, cosine, labels)[0] for sign in (1, -1))
        assert gradient[place] == pytest.approx((above - below) / 2e-2, rel=0.01, abs=2e-4)


@pytest.mark.parametrize("latent", [-1.5, -0.61, -0.59, -0.1, 0.0, 0.02, 0.7])
def test_the_gradient_of_the_link_agrees_with_finite_differences(latent: float) -> None:
    y, rest = np.array([0, 1]), [[0.3, 0.1], [0.2, 0.4]]

    def loss(shift: float, power: float) -> float:
        return link_loss(np.array([[latent + shift, *rest[0]], [0.5, *rest[1]]]), y, power)[0]

    _, by_latent, by_power = link_loss(np.array([[latent, *rest[0]], [0.5, *rest[1]]]), y, 3.0)
    assert by_latent[0, 0] == pytest.approx((loss(1e-5, 3.0) - loss(-1e-5, 3.0)) / 2e-5, rel=1e-3, abs=1e-5)
    assert by_power == pytest.approx((loss(0, 3.01) - loss(0, 2.99)) / 0.02, rel=1e-3, abs=1e-5)


def test_a_matrix_is_inverted_or_said_to_have_no_inverse() -> None:
    rows = np.random.default_rng(0).standard_normal((8, 5)).astype(np.float32)
    matrix = rows.T @ rows
    assert np.allclose(inverted(matrix.copy()) @ matrix, np.eye(5), atol=1e-3)
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        inverted(-matrix)


def test_where_there_are_few_texts_the_prior_holds_the_weights() -> None:
    labels = labelled(2, 2)
    weighed = weigh(good_and_noise(labels), labels, EVEN, seed=0)
    strayed = np.log(weighed.kernel.parts["good"].weight / 0.5)
    assert abs(strayed) < 0.7
    assert PRIOR_STRENGTH >= 1


@pytest.mark.parametrize("labels", [[0], [0, 1, 2, 3, 4], [0] * 6, [0, 0, 1], [0, 0, 0, 0, 1]])
def test_without_two_intents_of_two_texts_the_start_is_kept(labels: list[int]) -> None:
    numbers = np.array(labels)
    weighed = weigh(good_and_noise(numbers), numbers, EVEN, seed=0)
    assert weighed.kernel.parts == EVEN
    assert weighed.noise == DEFAULT_NOISE
    assert np.isnan(weighed.evidence)


def test_two_intents_of_two_texts_are_enough_to_weigh() -> None:
    labels = np.array([0, 0, 1, 1])
    assert np.isfinite(weigh(good_and_noise(labels), labels, EVEN, seed=0).evidence)


def test_a_large_bot_is_weighed_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing_module, "FEW_TEXTS", 24)
    seen: list[int] = []
    real = weighing_module.leave_one_out_loss

    def spy(theta: Any, cosine: Any, y: Any) -> Any:
        seen.append(len(y))
        return real(theta, cosine, y)

    monkeypatch.setattr(weighing_module, "leave_one_out_loss", spy)
    labels = labelled(6, 20)
    weigh(good_and_noise(labels), labels, EVEN, seed=0)
    assert set(seen) == {24}


def test_the_seed_decides() -> None:
    labels = labelled(4, 4)
    first, second = (weigh(good_and_noise(labels), labels, EVEN, seed=3) for _ in range(2))
    assert first == second


def test_weights_sum_to_one_and_a_negligible_one_is_zero() -> None:
    kernel = normalised({"a": ViewKernel(3.0, 1.0), "b": ViewKernel(1.0, 2.0), "c": ViewKernel(1e-4, 2.0)})
    assert kernel.parts == {"a": ViewKernel(0.75, 1.0), "b": ViewKernel(0.25, 2.0), "c": ViewKernel(0.0, 2.0)}


def test_a_balanced_sample_takes_the_same_number_of_every_intent() -> None:
    labels = np.concatenate([np.zeros(100, np.int64), np.ones(10, np.int64), np.full(3, 2)])
    sample = balanced_sample(labels, np.arange(113), 15, 0)
    assert np.bincount(labels[sample]).tolist() == [5, 5, 3]
    assert (np.diff(sample) > 0).all()
    assert balanced_sample(labels, np.arange(113), 113, 0).tolist() == list(range(113))


def test_a_balanced_sample_keeps_two_of_each_even_when_that_is_more_than_asked_for() -> None:
    labels = labelled(50, 4)
    assert np.bincount(labels[balanced_sample(labels, np.arange(200), 60, 0)]).tolist() == [2] * 50
