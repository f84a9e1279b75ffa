"""The evidence for a kernel: what the exact loss is, and that its gradient is its gradient."""

from __future__ import annotations

import numpy as np
import pytest

from dialogue.posterior.evidence import inverted, leave_one_out_loss, link_loss
from dialogue.posterior.kernel import MultiViewKernel, ViewKernel, cosines
from dialogue.posterior.link import DEFAULT_KNEE, Link
from dialogue.posterior.process import fit_process
from tests.dialogue.toys import good_and_noise, labelled


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
