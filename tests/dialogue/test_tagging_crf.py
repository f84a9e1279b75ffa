"""The conditional random field against all sequences of tags there are."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch

from dialogue.tagging.crf import Chain, backward, best, forward, spans
from dialogue.tagging.network import Network
from dialogue.tagging.tags import OUTSIDE, Span, first, inside, may_begin, may_follow, spans_of, tag_count

LABELS = 2
TAGS = 1 + 2 * LABELS


def potentials(seed, steps=4):
    rng = np.random.default_rng(seed)
    start, transition, end = (rng.normal(0, 1.5, shape) for shape in (TAGS, (TAGS, TAGS), TAGS))
    return Chain.constrained(start, transition, end), rng.normal(0, 1.5, (steps, TAGS))


def legal(tags):
    return may_begin(TAGS)[tags[0]] and all(may_follow(TAGS)[a, b] for a, b in pairwise(tags))


def score(chain, emission, tags):
    total = chain.start[tags[0]] + chain.end[tags[-1]] + sum(emission[t, tag] for t, tag in enumerate(tags))
    return total + sum(chain.transition[a, b] for a, b in pairwise(tags))


def every(chain, emission):
    """Each legal sequence with its probability."""
    found = {tags: score(chain, emission, tags) for tags in product(range(TAGS), repeat=len(emission)) if legal(tags)}
    whole = np.logaddexp.reduce(list(found.values()))
    return {tags: np.exp(value - whole) for tags, value in found.items()}, whole


@pytest.mark.parametrize("seed", range(5))
def test_what_is_decoded_is_the_most_probable_sequence(seed):
    chain, emission = potentials(seed)
    probabilities, _ = every(chain, emission)
    assert tuple(best(chain, emission)) == max(probabilities, key=probabilities.get)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_forwards_and_backwards_give_the_partition(steps):
    chain, emission = potentials(7, steps)
    _, whole = every(chain, emission)
    alpha, beta = forward(chain, emission), backward(chain, emission)
    for t in range(steps):
        assert np.logaddexp.reduce(alpha[t] + beta[t]) == pytest.approx(whole)


@pytest.mark.parametrize("seed", range(8))
def test_the_probability_of_a_span_is_that_of_all_sequences_with_just_it(seed):
    chain, emission = potentials(seed, 5)
    probabilities, _ = every(chain, emission)
    for span, probability in spans(chain, emission):
        exact = sum(p for tags, p in probabilities.items() if span in spans_of(tags))
        assert probability == pytest.approx(exact, abs=1e-9)


def test_nothing_forbidden_is_ever_decoded():
    rng = np.random.default_rng(0)
    for seed in range(200):
        chain, _ = potentials(seed)
        emission = rng.normal(0, 30, (6, TAGS))
        emission[:, inside(1)] += 60  # as if all spoke for going on with what never began
        assert legal(tuple(best(chain, emission)))


def test_large_potentials_still_give_probabilities():
    for seed in range(20):
        chain, emission = potentials(seed, 8)
        for _, probability in spans(chain, emission * 400):
            assert 0 < probability <= 1


def test_no_pieces_no_spans():
    chain, _ = potentials(0)
    assert spans(chain, np.zeros((0, TAGS))) == []


def test_training_counts_the_same_partition():
    network = Network(3, 3, 0, 0, TAGS).double()
    rng = np.random.default_rng(1)
    for parameter in (network.start, network.transition, network.end):
        parameter.data = torch.from_numpy(rng.normal(0, 1, tuple(parameter.shape)))
    chain = Chain.constrained(*(p.detach().numpy() for p in (network.start, network.transition, network.end)))
    emission = rng.normal(0, 1, (3, 4, TAGS))
    sequences = [(0, first(0), inside(0), 0), (first(1), first(1), inside(1)), (first(0),)]
    tags = torch.tensor([list(tags) + [0] * (4 - len(tags)) for tags in sequences])
    lengths = torch.tensor([len(tags) for tags in sequences])
    exact = []
    for row, sequence in zip(emission, sequences, strict=True):
        own = row[: len(sequence)]
        exact.append(every(chain, own)[1] - score(chain, own, sequence))
    loss = network.sequence_loss(torch.from_numpy(emission), tags, lengths)
    assert float(loss.detach()) == pytest.approx(np.mean(exact))


def test_tags_and_spans_are_two_ways_to_say_one_thing():
    assert tag_count(["a", "b"]) == TAGS
    tags = [OUTSIDE, first(0), inside(0), first(0), first(1), OUTSIDE]
    assert spans_of(tags) == [Span(1, 3, 0), Span(3, 4, 0), Span(4, 5, 1)]
