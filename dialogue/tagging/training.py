"""How the tagger learns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dialogue.posterior.kernel import FloatArray, IntArray
from dialogue.tagging.forward import DENSE, LEARNED
from dialogue.tagging.network import Batch, Network
from encoders.adamw import AdamW
from encoders.gru_forward import UNKNOWN, Vocabulary

RATE, WEIGHT_DECAY = 4e-3, 0.01
BATCH = 32
STEPS, LEAST_EPOCHS, MOST_EPOCHS = 300, 8, 30  # as many passes as give that many steps, within the bounds
WORD_DROPOUT = 0.15  # how often a piece is taken for unknown, so that its spelling and the encoders have to do
WARM_UP = 0.1  # share of the steps
HELD_OUT, FEWEST_HELD_OUT = 12, 40  # every twelfth text, where that gives so many that hold an entity
TEMPERATURES = np.geomspace(0.5, 4.0, 25)
DEFAULT_TEMPERATURE = 1.3


@dataclass(frozen=True, slots=True)
class Lesson:
    """One text: forms of its n pieces, encoders' words [n, D] standardised, marks [n, M], tags [n]."""

    forms: Sequence[str]
    dense: FloatArray
    marks: FloatArray
    tags: IntArray


def vocabulary_of(lessons: Sequence[Lesson]) -> Vocabulary:
    """Every form and character that occurs, the most frequent first."""
    words = Counter(form for lesson in lessons for form in lesson.forms)
    characters = Counter(character for form, n in words.items() for character in form for _ in range(n))

    def number(counts: Counter[str]) -> dict[str, int]:
        return {what: i for i, (what, _) in enumerate(sorted(counts.items(), key=lambda c: (-c[1], c[0])), start=2)}

    return Vocabulary(number(words), number(characters))


def train_network(
    lessons: Sequence[Lesson], vocabulary: Vocabulary, tags: int, seed: int, progress: Callable[[int, int], None]
) -> dict[str, FloatArray]:
    """The arrays `forward` reads, without `mean` and `scale`; every lesson has at least one piece."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        held = held_out(lessons, rng)
        rest = [lesson for i, lesson in enumerate(lessons) if i not in held]
        first = lessons[0]
        network = Network(
            len(vocabulary.words), len(vocabulary.characters), first.dense.shape[1], first.marks.shape[1], tags
        )
        fit(network, rest, vocabulary, rng, progress)
        network.eval()
        temperature = calibrated(network, [lessons[i] for i in sorted(held)], vocabulary)
        state = network.state_dict()
        names = (*LEARNED, *(DENSE if network.dense is not None else ()))
        arrays = {name: state[name].detach().numpy().copy() for name in names}
    return {**arrays, "temperature": np.array([temperature], np.float32)}


def held_out(lessons: Sequence[Lesson], rng: np.random.Generator) -> set[int]:
    """The texts that tell the temperature; none where there would be too few."""
    chosen = rng.permutation(len(lessons))[: len(lessons) // HELD_OUT].tolist()
    return set(chosen) if sum(bool(lessons[i].tags.any()) for i in chosen) >= FEWEST_HELD_OUT else set()


def fit(
    network: Network,
    lessons: Sequence[Lesson],
    vocabulary: Vocabulary,
    rng: np.random.Generator,
    progress: Callable[[int, int], None],
) -> None:
    """AdamW with a rate that rises, then falls to zero."""
    steps_a_pass = -(-len(lessons) // BATCH)
    epochs = int(np.clip(round(STEPS / steps_a_pass), LEAST_EPOCHS, MOST_EPOCHS))
    optimiser, done = AdamW(network.parameters(), RATE, WEIGHT_DECAY), 0
    network.train()
    for epoch in range(epochs):
        progress(epoch, epochs)
        for rows in batches(lessons, rng):
            share = done / (epochs * steps_a_pass)
            optimiser.rate = RATE * min(share / WARM_UP, (1 - share) / (1 - WARM_UP)) + 1e-6
            optimiser.zero_grad()
            network.loss(collate([lessons[i] for i in rows], vocabulary, drop=True)).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            done += 1
    progress(epochs, epochs)


def batches(lessons: Sequence[Lesson], rng: np.random.Generator) -> list[list[int]]:
    """All texts in batches of like length, in random order."""
    order = sorted(rng.permutation(len(lessons)).tolist(), key=lambda i: len(lessons[i].forms))
    cut = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    return [cut[i] for i in rng.permutation(len(cut))]


def collate(lessons: Sequence[Lesson], vocabulary: Vocabulary, *, drop: bool = False) -> Batch:
    """Texts as a padded batch; with `drop` some pieces as unknown."""
    lengths = [len(lesson.forms) for lesson in lessons]
    unique = sorted({form for lesson in lessons for form in lesson.forms})
    place = {form: row for row, form in enumerate(unique)}
    words = pad([np.array(vocabulary.word_ids(lesson.forms)) for lesson in lessons])
    if drop:
        words = torch.where((torch.rand(words.shape) < WORD_DROPOUT) & (words > 0), UNKNOWN, words)
    return Batch(
        words=words,
        forms=pad([np.array([place[form] for form in lesson.forms]) for lesson in lessons]),
        characters=torch.from_numpy(vocabulary.character_ids(unique)),
        dense=pad([lesson.dense for lesson in lessons]),
        marks=pad([lesson.marks for lesson in lessons]),
        tags=pad([lesson.tags for lesson in lessons]),
        lengths=torch.tensor(lengths),
    )


def pad(arrays: Sequence[FloatArray | IntArray]) -> Tensor:
    """[B, n, ...], zero where a text has no piece."""
    return nn.utils.rnn.pad_sequence([torch.from_numpy(array) for array in arrays], batch_first=True)


@torch.no_grad()
def calibrated(network: Network, lessons: Sequence[Lesson], vocabulary: Vocabulary) -> float:
    """The temperature of highest held-out probability (Guo et al. 2017, "On Calibration of Modern Neural Networks").

    It divides all potentials, so that what is decoded stays as it is.
    """
    if not lessons:
        return DEFAULT_TEMPERATURE
    batch = collate(lessons, vocabulary)
    emission, kept = network(batch), [p.detach().clone() for p in (network.start, network.transition, network.end)]
    losses = []
    for temperature in TEMPERATURES:
        for parameter, value in zip((network.start, network.transition, network.end), kept, strict=True):
            parameter.copy_(value / temperature)
        losses.append(float(network.sequence_loss(emission / temperature, batch.tags, batch.lengths)))
    for parameter, value in zip((network.start, network.transition, network.end), kept, strict=True):
        parameter.copy_(value)
    return float(TEMPERATURES[int(np.argmin(losses))])
