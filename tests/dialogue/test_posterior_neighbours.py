"""Left-out texts by their nearest neighbours: exact where all others are near, and a gradient that is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dialogue.posterior.neighbours as module
from dialogue.posterior.evidence import leave_one_out_loss
from dialogue.posterior.kernel import MultiViewKernel, ViewKernel, Views, cosines
from dialogue.posterior.neighbours import Neighbourhoods, nearest, neighbourhoods, neighbours_loss, root
from tests.dialogue.toys import KERNEL, good_and_noise, labelled, two_views

THETA = np.log([0.8, 0.2, 2.0, 1.0, 0.2, 3.0])
START = MultiViewKernel({"good": ViewKernel(0.8, 3.0), "noise": ViewKernel(0.2, 3.0)})


def all_of(views: Views, labels: Any) -> Neighbourhoods:
    return neighbourhoods(views, labels, np.arange(len(labels)), START)


def test_with_all_others_near_the_loss_and_its_gradient_are_the_exact_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOGETHER", 7)
    labels = labelled(5, 8)
    views = good_and_noise(labels)
    cosine = np.stack([cosines(view, view) for view in views.values()])
    loss, gradient = neighbours_loss(THETA, all_of(views, labels))
    exact, exact_gradient = leave_one_out_loss(THETA, cosine, labels)
    assert loss == pytest.approx(exact, abs=1e-5)
    assert gradient == pytest.approx(exact_gradient, abs=1e-4)


def test_the_gradient_agrees_with_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NEIGHBOURS", 9)
    labels = labelled(5, 8)
    seen = all_of(good_and_noise(labels), labels)
    gradient = neighbours_loss(THETA, seen)[1]
    for place in range(len(THETA)):
        step = np.zeros(len(THETA))
        step[place] = 1e-2
        above, below = (neighbours_loss(THETA + sign * step, seen)[0] for sign in (1, -1))
        assert gradient[place] == pytest.approx((above - below) / 2e-2, rel=0.01, abs=2e-4)


def test_the_nearest_are_those_of_the_highest_covariance_and_never_the_text_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "NEIGHBOURS", 5)
    monkeypatch.setattr(module, "LOOKED_UP", 3)
    views, rows = two_views(labelled(4, 10)), np.array([0, 7, 21, 39])
    covariance = KERNEL(views, views)
    for row, near in zip(rows, nearest(views, rows, KERNEL), strict=True):
        others = np.delete(np.arange(40), row)
        best = others[np.argsort(-covariance[row, others])[:5]]
        assert set(near) == set(best)


def test_the_cosines_are_of_neighbours_and_text_with_the_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NEIGHBOURS", 4)
    labels = labelled(3, 6)
    views, rows = two_views(labels), np.array([2, 11])
    seen = neighbourhoods(views, labels, rows, KERNEL)
    near = nearest(views, rows, KERNEL)
    assert seen.cosine.shape == (2, 2, 5, 4)
    assert (seen.labels == labels[near]).all()
    assert (seen.y == labels[rows]).all()
    for i, row in enumerate(rows):
        for v, name in enumerate(KERNEL.parts):
            whole = cosines(views[name], views[name])
            assert seen.cosine[i, v] == pytest.approx(whole[np.ix_([*near[i], row], near[i])], abs=1e-6)


def test_a_covariance_that_is_none_is_said_to_be_none() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        root(-np.eye(3, dtype=np.float32))
