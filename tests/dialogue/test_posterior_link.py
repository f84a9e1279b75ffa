"""The link: its formula in double precision, what it promises, and finding the one that made the labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.posterior.link import DEFAULT_KNEE, DEFAULT_POWER, Link, fit_link, fit_links, for_new_messages


def test_probabilities_are_shares_of_powers_of_softplus() -> None:
    latent = [0.7, 0.1, -0.02, -0.9]
    parts = [math.log1p(math.exp(f / 0.05)) ** 3 for f in latent]
    found = Link(3.0, 0.05)(np.array([latent], np.float32))
    assert np.allclose(found, np.array([parts]) / sum(parts), atol=1e-5)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=6), st.floats(0.5, 8), st.floats(0.005, 0.5))
def test_more_is_never_less_probable_and_nothing_is_lost(latent: list[float], power: float, knee: float) -> None:
    p = Link(power, knee)(np.array(latent, np.float32))
    assert np.isfinite(p).all()
    assert p.sum() == pytest.approx(1, abs=1e-5)
    assert (np.diff(p[np.argsort(np.array(latent, np.float32), kind="stable")]) >= -1e-6).all()


def test_an_intent_that_was_left_out_has_none() -> None:
    assert Link()(np.array([0.3, -np.inf, 0.1], np.float32))[1] == 0


@pytest.mark.parametrize("made", [Link(2.0, 0.1), Link(5.0, 0.03)])
def test_the_link_that_made_the_labels_is_found(made: Link) -> None:
    rng = np.random.default_rng(0)
    latent = rng.uniform(-0.1, 0.5, (4000, 4)).astype(np.float32)
    labels = np.array([rng.choice(4, p=p / p.sum()) for p in made(latent).astype(float)])
    found = fit_link(latent, labels)
    assert np.abs(found(latent) - made(latent)).mean() < 0.01
    assert found.power == pytest.approx(made.power, rel=0.25)


def test_without_texts_the_link_is_the_prior() -> None:
    found = fit_link(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))
    assert (found.power, found.knee) == pytest.approx((DEFAULT_POWER, DEFAULT_KNEE), rel=0.02)


def test_where_many_texts_are_left_new_messages_are_like_left_out_ones() -> None:
    found = for_new_messages(Link(2.0, 0.1), 1 / 1000)
    assert (found.power, found.knee) == pytest.approx((2.0, 0.1), rel=0.01)


def test_where_few_are_left_the_link_is_sharper_and_nearer_to_the_default() -> None:
    seen = [for_new_messages(Link(2.0, 0.03), 1 / left) for left in (1, 2, 5, 50)]
    assert [link.power for link in seen] == sorted((link.power for link in seen), reverse=True)
    assert all(link.power > 2.0 and link.knee > 0.03 for link in seen)
    poor = for_new_messages(Link(0.5, 0.005), 1.0)  # names that say nothing of their intents
    assert poor.power > DEFAULT_POWER / 2
    assert poor.knee > DEFAULT_KNEE / 2


def test_the_number_of_texts_left_is_that_of_all_intents() -> None:
    rng = np.random.default_rng(1)
    latent, labels = rng.uniform(-0.1, 0.5, (600, 4)).astype(np.float32), rng.integers(4, size=600)
    found = fit_links(latent, labels, np.where(labels < 2, 1, 4))
    assert found.left_out == fit_link(latent, labels)
    assert found.new == for_new_messages(found.left_out, float(np.where(labels < 2, 1, 0.25).mean()))
