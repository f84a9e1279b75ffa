"""How the tagger learns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dialogue.fusion.forward import Fused
from dialogue.fusion.shape import FusionConfig, sizes_of
from dialogue.fusion.transformer import Fusion
from dialogue.fusion.units import collate as fusion_batch
from dialogue.posterior.kernel import FloatArray, IntArray
from dialogue.tagging.features import alone
from dialogue.tagging.forward import DENSE, LEARNED, PAIRED, POTENTIALS, TUNED, Spellings, pairs_of, prefix
from dialogue.tagging.network import Batch, Network
from encoders.adamw import AdamW
from encoders.bert_weights import TopLayers
from encoders.gru_forward import UNKNOWN

RATE, LEAST_RATE, WEIGHT_DECAY = 4e-3, 1e-4, 0.01
PAIRED_RATE, PAIRED_EPOCHS = 2e-3, 14  # where pairs are read, so with many texts
TUNED_RATE, TUNED_DROPOUT, TUNED_EPOCHS = 2e-4, 0.1, 5  # of the pretrained layers
BATCH, PAIRED_BATCH = 16, 32  # texts in a step
STEPS, LEAST_EPOCHS, MOST_EPOCHS = 240, 3, 30  # as many passes as give that many steps, within the bounds
PLAIN_SHARE = 3  # texts without an entity in one pass, for each with one; the next pass has others
WORD_DROPOUT = 0.15  # how often a piece is taken for unknown, so that its spelling and the encoders have to do
PAIR_DROPOUT, LEAST_PAIRED = 0.2, 2  # the same of pairs; how often a pair has to occur
WARM_UP = 0.1  # share of the steps
HELD_OUT, FEWEST_HELD_OUT = 12, 40  # every twelfth text, where that gives so many that hold an entity
COLUMNS = 64
TEMPERATURES = np.geomspace(0.5, 4.0, 25)
DEFAULT_TEMPERATURE = 1.3


@dataclass(frozen=True, slots=True)
class Lesson:
    """One text: forms of its n pieces, encoders' words [n, D] standardised in float16, marks [n, M], tags [n].

    Where layers are tuned: states [s, H] float16 that go into them, shares [n, s] from its subwords to its pieces.
    """

    forms: Sequence[str]
    dense: NDArray[np.float16]
    marks: FloatArray
    tags: IntArray
    states: NDArray[np.float16] | None = None
    shares: FloatArray | None = None


def halved(array: FloatArray) -> NDArray[np.float16]:
    """In half precision; numpy, unlike torch, has no vector instructions for it."""
    found: NDArray[np.float16] = torch.from_numpy(array).half().numpy()
    return found


def standard(vectors: NDArray[np.float16]) -> tuple[FloatArray, FloatArray]:
    """What to subtract from vectors [P, D] and what to multiply them with for a mean of 0 and a deviation of 1: [D]."""
    means, scales = [], []
    for columns in torch.split(torch.from_numpy(vectors), COLUMNS, dim=1):  # all in single precision would be large
        some = columns.float()
        means.append(some.mean(dim=0))
        scales.append(1 / ((some - means[-1]).square().mean(dim=0).sqrt() + 1e-3))
    return torch.cat(means).numpy(), torch.cat(scales).numpy()


def vocabulary_of(lessons: Sequence[Lesson], *, paired: bool = False) -> Spellings:
    """Every form and character that occurs, the most frequent first; with `paired` every pair that occurs again."""
    words = Counter(form for lesson in lessons for form in lesson.forms)
    characters = Counter(character for form, n in words.items() for character in form for _ in range(n))

    def number(counts: Counter[str]) -> dict[str, int]:
        return {what: i for i, (what, _) in enumerate(sorted(counts.items(), key=lambda c: (-c[1], c[0])), start=2)}

    pairs = Counter(pair for lesson in lessons for pair in pairs_of(lesson.forms)) if paired else Counter()
    again = Counter({pair: n for pair, n in pairs.items() if n >= LEAST_PAIRED})
    return Spellings(number(words), number(characters), number(again))


def train_networks(
    courses: Sequence[tuple[TopLayers | None, Sequence[Lesson]]],
    vocabulary: Spellings,
    tags: int,
    seed: int,
    progress: Callable[[int, int], None],
) -> tuple[dict[str, FloatArray], list[Fused]]:
    """The arrays `forward` reads, without `mean` and `scale`, and the tuned copies of layers.

    One network for each course: layers to tune, if any, and the lessons, which are the same texts in all. Networks that
    read other layers, or none, err differently. Every lesson has at least one piece.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        held = held_out(courses[0][1], rng)
        asked = [[lesson for i, lesson in enumerate(lessons) if i in held] for _, lessons in courses]
        rest = [[lesson for i, lesson in enumerate(lessons) if i not in held] for _, lessons in courses]
        first = courses[0][1][0]
        known = (len(vocabulary.words), len(vocabulary.characters))
        sizes = (*known, first.dense.shape[1], first.marks.shape[1], tags, len(vocabulary.pairs))
        networks = [Network(*sizes, copy_of(top) if top is not None else None) for top, _ in courses]
        due = list(map(passes_due, networks, rest))
        for number, (network, lessons) in enumerate(zip(networks, rest, strict=True)):
            fit(network, lessons, vocabulary, rng, partial(went_on, progress, sum(due[:number]), sum(due)))
            network.eval()
        share_potentials(networks)
        temperature = calibrated(networks, asked, vocabulary)
        arrays = {name: array_of(networks[0], name) for name in POTENTIALS}
        for number, network in enumerate(networks):
            arrays.update({prefix(number) + name: array_of(network, name) for name in own(network)})
        tuned = [Fused.of(one.layers.config, one.layers.arrays()) for one in networks if one.layers is not None]
    return {**arrays, "temperature": np.array([temperature], np.float32)}, tuned


def went_on(progress: Callable[[int, int], None], before: int, due: int, done: int, _: int) -> None:
    """Tell how many passes of all networks' are done."""
    progress(before + done, due)


def own(network: Network) -> tuple[str, ...]:
    """The names of what `forward` reads of one network only."""
    parts = ((DENSE, network.dense), (TUNED, network.tuned), (PAIRED, network.before))
    return (*LEARNED, *(name for names, part in parts if part is not None for name in names))


def array_of(network: Network, name: str) -> FloatArray:
    """A parameter as it is now."""
    found: FloatArray = network.get_parameter(name).detach().numpy().copy()
    return found


@torch.no_grad()
def share_potentials(networks: Sequence[Network]) -> None:
    """The first network gets the mean potentials between tags, to go with the mean emissions."""
    for name in POTENTIALS:
        mean = torch.stack([network.get_parameter(name) for network in networks]).mean(dim=0)
        networks[0].get_parameter(name).copy_(mean)


def copy_of(top: TopLayers) -> Fusion:
    """The layers to tune, as they are in the encoder."""
    config = FusionConfig(
        **sizes_of(top), dropout=TUNED_DROPOUT, encoder_dropout=0.0, pretrained=True, words={}, sentences={}
    )
    layers = Fusion(config)
    layers.continue_from(top)
    return layers


def held_out(lessons: Sequence[Lesson], rng: np.random.Generator) -> set[int]:
    """The texts that tell the temperature; none where there would be too few."""
    chosen = rng.permutation(len(lessons))[: len(lessons) // HELD_OUT].tolist()
    return set(chosen) if sum(bool(lessons[i].tags.any()) for i in chosen) >= FEWEST_HELD_OUT else set()


def fit(
    network: Network,
    lessons: Sequence[Lesson],
    vocabulary: Spellings,
    rng: np.random.Generator,
    progress: Callable[[int, int], None],
) -> None:
    """AdamW with rates that rise, then fall to zero."""
    passes = chosen(lessons, rng)
    some, size = next(passes), batch_size(network)
    steps_a_pass = -(-len(some) // size)
    own = PAIRED_RATE if network.before is not None else RATE
    epochs, done = passes_due(network, lessons), 0
    new = [p for name, p in network.named_parameters() if not name.startswith("layers.")]
    optimisers = [(AdamW(new, own, WEIGHT_DECAY), own)]
    if network.layers is not None:
        optimisers.append((AdamW(network.layers.parameters(), TUNED_RATE, WEIGHT_DECAY), TUNED_RATE))
    network.train()
    for epoch in range(epochs):
        progress(epoch, epochs)
        for batch in batches(some, size, rng):
            share = done / (epochs * steps_a_pass)
            for optimiser, rate in optimisers:
                optimiser.rate = rate * (min(share / WARM_UP, (1 - share) / (1 - WARM_UP)) + LEAST_RATE)
                optimiser.zero_grad()
            network.loss(collate(batch, vocabulary, drop=True)).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            for optimiser, _ in optimisers:
                optimiser.step()
            done += 1
        some = next(passes)
    progress(epochs, epochs)


def batch_size(network: Network) -> int:
    """How many texts are looked at in a step."""
    return BATCH if network.before is None else PAIRED_BATCH


def passes_due(network: Network, lessons: Sequence[Lesson]) -> int:
    """How many passes the network is trained for."""
    marked = sum(bool(lesson.tags.any()) for lesson in lessons)
    steps_a_pass = -(-min(len(lessons), (1 + PLAIN_SHARE) * marked) // batch_size(network))
    least = LEAST_EPOCHS if network.before is None else PAIRED_EPOCHS
    least = least if network.layers is None else TUNED_EPOCHS
    return int(np.clip(round(STEPS / steps_a_pass), least, MOST_EPOCHS))


def chosen(lessons: Sequence[Lesson], rng: np.random.Generator) -> Iterator[list[Lesson]]:
    """The texts of each pass: all with an entity, and `PLAIN_SHARE` times as many of the others, which take turns."""
    plain = [lesson for lesson in lessons if not lesson.tags.any()]
    marked = [lesson for lesson in lessons if lesson.tags.any()]
    each = min(len(plain), PLAIN_SHARE * len(marked))
    turns = cycle([plain[i] for i in rng.permutation(len(plain))])
    while True:
        yield [*marked, *islice(turns, each)]


def batches(lessons: Sequence[Lesson], size: int, rng: np.random.Generator) -> list[list[Lesson]]:
    """All texts in batches of like length, so many in each, in random order."""
    order = sorted((lessons[i] for i in rng.permutation(len(lessons))), key=lambda lesson: len(lesson.forms))
    cut = [order[start : start + size] for start in range(0, len(order), size)]
    return [cut[i] for i in rng.permutation(len(cut))]


def collate(lessons: Sequence[Lesson], vocabulary: Spellings, *, drop: bool = False) -> Batch:
    """Texts as a padded batch; with `drop` some pieces as unknown."""
    lengths = [len(lesson.forms) for lesson in lessons]
    unique = sorted({form for lesson in lessons for form in lesson.forms})
    place = {form: row for row, form in enumerate(unique)}
    words = pad([np.array(vocabulary.word_ids(lesson.forms)) for lesson in lessons])
    pairs = pad([vocabulary.pair_ids(lesson.forms) for lesson in lessons]) if vocabulary.pairs else None
    if drop:
        words = forget(words, WORD_DROPOUT)
        pairs = forget(pairs, PAIR_DROPOUT) if pairs is not None else None
    states = [lesson.states for lesson in lessons if lesson.states is not None]
    shares = [lesson.shares for lesson in lessons if lesson.shares is not None]
    return Batch(
        words=words,
        forms=pad([np.array([place[form] for form in lesson.forms]) for lesson in lessons]),
        characters=torch.from_numpy(vocabulary.character_ids(unique)),
        dense=pad([lesson.dense for lesson in lessons]).float(),
        marks=pad([lesson.marks for lesson in lessons]),
        tags=pad([lesson.tags for lesson in lessons]),
        lengths=torch.tensor(lengths),
        pairs=pairs,
        subwords=fusion_batch(alone(states), np.arange(len(states)), states[0].shape[1], ()) if states else None,
        shares=pad_both(shares) if shares else None,
    )


def forget(rows: Tensor, share: float) -> Tensor:
    """Rows of an embedding, some of them as unknown."""
    return torch.where((torch.rand(rows.shape) < share) & (rows > 0), UNKNOWN, rows)


def pad(arrays: Sequence[FloatArray | IntArray | NDArray[np.float16]]) -> Tensor:
    """[B, n, ...], zero where a text has no piece."""
    return nn.utils.rnn.pad_sequence([torch.from_numpy(array) for array in arrays], batch_first=True)


def pad_both(shares: Sequence[FloatArray]) -> Tensor:
    """[n, s] of each text -> [B, n, S], zero where it has no such piece or subword."""
    padded = np.zeros((len(shares), *np.max([share.shape for share in shares], axis=0)), np.float32)
    for row, share in zip(padded, shares, strict=True):
        row[: share.shape[0], : share.shape[1]] = share
    return torch.from_numpy(padded)


@torch.no_grad()
def calibrated(networks: Sequence[Network], lessons: Sequence[Sequence[Lesson]], vocabulary: Spellings) -> float:
    """The temperature of highest held-out probability (Guo et al. 2017, "On Calibration of Modern Neural Networks").

    It divides all potentials, so that what is decoded stays as it is. Those between tags are the first network's.
    """
    if not lessons[0]:
        return DEFAULT_TEMPERATURE
    read, network = [collate(some, vocabulary) for some in lessons], networks[0]
    batch, emission = read[0], torch.stack([one(some) for one, some in zip(networks, read, strict=True)]).mean(dim=0)
    kept = [p.detach().clone() for p in (network.start, network.transition, network.end)]
    losses = []
    for temperature in TEMPERATURES:
        for parameter, value in zip((network.start, network.transition, network.end), kept, strict=True):
            parameter.copy_(value / temperature)
        losses.append(float(network.sequence_loss(emission / temperature, batch.tags, batch.lengths)))
    for parameter, value in zip((network.start, network.transition, network.end), kept, strict=True):
        parameter.copy_(value)
    return float(TEMPERATURES[int(np.argmin(losses))])
