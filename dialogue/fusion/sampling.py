"""Draws of the whole fusion from its posterior, by stochastic-gradient Markov chain Monte Carlo.

The energy is the contrastive loss of all texts, in nats, and a Gaussian prior around the weights that training starts
from. How far they go is not known beforehand, and differs by array; so each array's prior has the deviation by which
training, of which the chain is the continuation, has moved it: the value of the highest evidence for a Gaussian that
was seen there. One cycle of `dialogue.posterior.cyclical` takes about as long as the training, and gives one draw.

A handful of cycles do not find everything that such a posterior holds. R-hat and effective sample size, over the
cycles as chains, of the cosines of pairs of held-out texts, which is what a kernel reads of a fusion, say how far apart
the cycles are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch

from dialogue.fusion.training import Lessons, Recipe, batches, descend, encode, epoch_steps, untrained
from dialogue.fusion.transformer import Fusion
from dialogue.fusion.units import Units
from dialogue.posterior.cyclical import Cycles, sample
from dialogue.posterior.diagnostics import effective_sample_size, split_r_hat
from dialogue.posterior.kernel import FloatArray, IntArray
from encoders.bert_weights import TopLayers

TEMPERATURE = 1.0
FEWEST_STEPS = 16  # of a cycle
WATCHED = 32  # held-out texts, in pairs


def sample_fusions(
    trained: Fusion,
    top: TopLayers | None,
    lessons: Lessons,
    held_out: Units,
    recipe: Recipe,
    count: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Fusion], dict[str, float]]:
    """Draws from the posterior, and the worst R-hat and least effective sample size of what was watched.

    Args:
        trained: where the chain starts; what `train_fusion` made with the same arguments.
        top: as there.
        lessons: as there.
        held_out: texts whose cosines are watched.
        recipe: as there.
        count: how many fusions to draw.
        progress: told the steps done and to do.
    """
    with torch.random.fork_rng(devices=[]):
        prior = arrays_of(untrained(trained.config, top, recipe.seed))
    fusion = copy.deepcopy(trained).eval()  # what is dropped in training is no part of the energy
    weights = arrays_of(fusion)
    scales = [float(np.sqrt(np.square(w - p).mean())) for w, p in zip(weights, prior, strict=True)]
    rng = np.random.default_rng(recipe.seed)
    stream, texts = endless(lessons.labels, recipe.batch_size, rng), np.float32(len(lessons.labels))

    def slope() -> list[FloatArray]:
        fusion.zero_grad()
        descend(fusion, lessons, next(stream), recipe.answers)
        return [
            texts * g + (w - p) / np.float32(max(scale, 1e-12) ** 2)
            for g, w, p, scale in zip(gradients(fusion), weights, prior, scales, strict=True)
        ]

    steps = max(FEWEST_STEPS, recipe.epochs * epoch_steps(lessons.labels, recipe.batch_size))
    cycles = Cycles(count, steps, temperature=TEMPERATURE)
    some = held_out.pick(rng.permutation(held_out.count)[:WATCHED])
    drawn: list[Fusion] = []
    seen: list[list[FloatArray]] = [[] for _ in range(count)]
    for done, (cycle, sampling) in enumerate(sample(weights, slope, scales, cycles, rng), start=1):
        progress(done, count * steps)
        if sampling:
            seen[cycle].append(cosines(fusion, some))
        if done % steps == 0:
            drawn.append(copy.deepcopy(fusion))
    watched = np.array(seen).transpose(2, 0, 1)  # [pairs, cycles, steps]
    notes = {
        "r_hat": max(map(split_r_hat, watched)),
        "effective_sample_size": min(map(effective_sample_size, watched)),
    }
    return drawn, notes


def arrays_of(fusion: Fusion) -> list[FloatArray]:
    """The parameters as arrays in the same memory."""
    return [parameter.detach().numpy() for parameter in fusion.parameters()]


def gradients(fusion: Fusion) -> Iterator[FloatArray]:
    """Of every parameter; zero where the loss does not depend on it."""
    for p in fusion.parameters():
        yield torch.zeros_like(p).numpy() if p.grad is None else p.grad.numpy()


def endless(labels: IntArray, size: int, rng: np.random.Generator) -> Iterator[IntArray]:
    """Batches of one pass over the texts after the other."""
    while True:
        yield from batches(labels, size, rng)


def cosines(fusion: Fusion, units: Units) -> FloatArray:
    """Between the first and the second text, the third and the fourth, and so on."""
    features = encode(fusion, units)
    even = len(features) // 2 * 2
    found: FloatArray = (features[0:even:2] * features[1:even:2]).sum(axis=1)
    return found
