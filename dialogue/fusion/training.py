"""Training of a fusion, by contrast: texts of one intent draw together, texts of different intents apart.

The loss is the supervised contrastive loss (Khosla et al. 2020, arXiv:2004.11362) over class-balanced batches. It has
no classifier of its own to fit, and what it shapes, the cosine between two texts, is what the kernel above reads. For
texts with a stored answer the same fusion reads the answer too, and a second loss picks it among the answers of the
batch (a dual encoder with in-batch negatives, Henderson et al. 2019, arXiv:1911.03688).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dialogue.fusion.shape import FusionConfig
from dialogue.fusion.transformer import Fusion
from dialogue.fusion.units import Units, collate
from dialogue.posterior.kernel import FloatArray, IntArray
from dialogue.posterior.sample import balanced_sample
from encoders.adamw import AdamW
from encoders.bert_weights import TopLayers

TEMPERATURE = 0.07
WARM_UP = 0.1
LARGEST_GRADIENT = 1.0
PER_INTENT = 2
ENCODE_BATCH = 64
GROUP = 32
MOST_HELD_OUT = 500


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a fusion is trained; see `Fusion` in bot.yml for what each field means.

    `answers` is how many of a batch's stored answers are told apart, at most.
    """

    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    answers: int = 8


@dataclass(frozen=True, slots=True)
class Lessons:
    """N texts to learn from.

    `labels` [N]; `answers` are the distinct stored answers, `answer_of` [N] the one that belongs to a text, -1 for
    none.
    """

    units: Units
    labels: IntArray
    answers: Units | None
    answer_of: IntArray


def train_fusion(
    config: FusionConfig,
    top: TopLayers | None,
    lessons: Lessons,
    held_out: tuple[Units, IntArray] | None,
    recipe: Recipe,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Fusion:
    """Train until the held-out texts get no better.

    Args:
        config: sizes.
        top: the pretrained layers to continue; None to start from scratch.
        lessons: what to learn.
        held_out: texts and labels that decide when to stop; None trains all epochs.
        recipe: how.
        progress: told the steps done and to do.
    """
    with torch.random.fork_rng(devices=[]):
        return fit(untrained(config, top, recipe.seed), lessons, held_out, recipe, progress)


def untrained(config: FusionConfig, top: TopLayers | None, seed: int) -> Fusion:
    """What training starts from: the pretrained layers and random gates, or all at random. Sets torch's seed."""
    torch.manual_seed(seed)
    fusion = Fusion(config)
    if top is not None:
        fusion.continue_from(top)
    return fusion


def fit(
    fusion: Fusion,
    lessons: Lessons,
    held_out: tuple[Units, IntArray] | None,
    recipe: Recipe,
    progress: Callable[[int, int], None],
) -> Fusion:
    """The loop: AdamW, warm-up and linear decay, the best epoch kept."""
    rng = np.random.default_rng(recipe.seed)
    optimiser = AdamW(fusion.parameters(), recipe.learning_rate, recipe.weight_decay)
    steps = epoch_steps(lessons.labels, recipe.batch_size) * recipe.epochs
    best, kept, since, done = separation(fusion, held_out), copy.deepcopy(fusion.state_dict()), 0, 0
    for _ in range(recipe.epochs):
        fusion.train()
        for rows in batches(lessons.labels, recipe.batch_size, rng):
            optimiser.zero_grad()
            descend(fusion, lessons, rows, recipe.answers)
            torch.nn.utils.clip_grad_norm_(fusion.parameters(), LARGEST_GRADIENT)
            optimiser.rate = recipe.learning_rate * rate(done, steps)
            optimiser.step()
            done += 1
            progress(done, steps)
        score = separation(fusion, held_out)
        since = 0 if score < best or held_out is None else since + 1
        if since == 0:
            best, kept = score, copy.deepcopy(fusion.state_dict())
        if since >= recipe.patience:
            break
    fusion.load_state_dict(kept)
    return fusion.eval()


def rate(done: int, steps: int) -> float:
    """Share of the peak learning rate: up over the first tenth, then straight down."""
    warm = max(1.0, WARM_UP * steps)
    return min((done + 1) / warm, (steps - done) / max(1.0, steps - warm), 1.0)


def batches(labels: IntArray, size: int, rng: np.random.Generator) -> Iterator[IntArray]:
    """Every text once, in batches where an intent comes in twos."""
    chunks: list[IntArray] = []
    for intent in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == intent))
        chunks += [rows[i : i + PER_INTENT] for i in range(0, len(rows), PER_INTENT)]
    order = rng.permutation(len(chunks))
    each = max(1, size // PER_INTENT)
    for start in range(0, len(order), each):
        yield np.concatenate([chunks[i] for i in order[start : start + each]])


def epoch_steps(labels: IntArray, size: int) -> int:
    """How many `batches` there are."""
    return len(list(batches(labels, size, np.random.default_rng(0))))


def descend(fusion: Fusion, lessons: Lessons, rows: IntArray, most: int) -> None:
    """Give the parameters the gradient of the loss of one batch. Raises `FloatingPointError` if there is none."""
    loss = contrast(fusion, lessons, rows, most)
    if not torch.isfinite(loss):
        raise FloatingPointError("the fusion's loss is not finite; lower its learning_rate")
    loss.backward()  # type: ignore[no-untyped-call]


def contrast(fusion: Fusion, lessons: Lessons, rows: IntArray, most: int) -> Tensor:
    """The loss of one batch, nats, with at most so many answers."""
    z = fused(fusion, lessons.units, rows)  # [B, H]
    loss = contrastive(z, torch.from_numpy(lessons.labels[rows]))
    if lessons.answers is None:
        return loss
    wanted = lessons.answer_of[rows]
    answers = np.sort(list(dict.fromkeys(wanted[wanted >= 0].tolist()))[:most])  # the first are random ones
    asked = np.flatnonzero(np.isin(wanted, answers))
    if len(asked) == 0:
        return loss
    target = np.searchsorted(answers, wanted[asked])
    logits = z[torch.from_numpy(asked)] @ fused(fusion, lessons.answers, answers).T / TEMPERATURE  # [Q, A]
    return loss + F.cross_entropy(logits, torch.from_numpy(target))


def contrastive(z: Tensor, labels: Tensor) -> Tensor:
    """Supervised contrastive loss of features [B, H] of length one."""
    itself = torch.eye(len(z), dtype=torch.bool)
    log_p = torch.log_softmax((z @ z.T / TEMPERATURE).masked_fill(itself, -1e9), dim=1)  # [B, B]
    same = (labels[:, None] == labels[None, :]) & ~itself  # [B, B]
    friends = same.sum(1)  # [B]
    if not bool(friends.any()):
        return z.sum() * 0.0
    mean = (log_p * same).sum(1)[friends > 0] / friends[friends > 0]
    return -mean.mean()


def fused(fusion: Fusion, units: Units, rows: IntArray) -> Tensor:
    """Fused features [B, H] of texts `rows`, run in groups of like length so that little is padded."""
    order = np.argsort([units.length(int(i)) for i in rows], kind="stable")
    groups = [rows[order[start : start + GROUP]] for start in range(0, len(rows), GROUP)]
    found = [fusion(collate(units, group, fusion.config.hidden, fusion.config.words))[1] for group in groups]
    return torch.cat(found)[torch.from_numpy(np.argsort(order))]


def encode(fusion: Fusion, units: Units) -> FloatArray:
    """Fused features [N, H] of all texts, in order, without gradients."""
    fusion.eval()
    out = np.zeros((units.count, fusion.config.hidden), np.float32)
    order = np.argsort([units.length(i) for i in range(units.count)], kind="stable")
    with torch.inference_mode():
        for start in range(0, len(order), ENCODE_BATCH):
            rows = order[start : start + ENCODE_BATCH]
            out[rows] = fused(fusion, units, rows).numpy()
    return out


def separation(fusion: Fusion, held_out: tuple[Units, IntArray] | None) -> float:
    """How badly held-out texts are told apart: their contrastive loss, nats. 0 without any."""
    if held_out is None:
        return 0.0
    units, labels = held_out
    rows = balanced_sample(labels, np.arange(len(labels)), MOST_HELD_OUT, 0)
    features = torch.from_numpy(encode(fusion, units.pick(rows)))
    return float(contrastive(features, torch.from_numpy(labels[rows])))
