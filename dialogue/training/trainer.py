"""Training of a model: encoders, cross-fitted members, head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from dialogue.config import Config
from dialogue.config import Fusion as FusionSection
from dialogue.encoding import Continued, EncoderSet
from dialogue.errors import TrainingError
from dialogue.fusion.member import FUSION_VIEW, Member
from dialogue.fusion.units import Units
from dialogue.model import Meaning, Model
from dialogue.plugins import build_encoders
from dialogue.posterior.family import Choice
from dialogue.posterior.head import HeadConfig, fit_head
from dialogue.posterior.kernel import FloatArray, IntArray, ViewKernel, Views
from dialogue.posterior.mixture import AnyHead, fit_mixture
from dialogue.tagging.tagger import Tagger
from dialogue.training.corpus import Corpus, remembered
from dialogue.training.members import Material, fit_encoder, train_members
from dialogue.training.memory import release
from dialogue.views import apart, sentences
from encoders.base import Encoder
from encoders.bert import BertEncoder
from encoders.bert_weights import TopLayers
from encoders.cache import FeatureCache
from encoders.features import Utterance
from encoders.threads import limit_threads
from encoders.tokenizer import tokenize

Progress = Callable[[str, int, int], None]
SKIPPED = 6  # the tagger reads the states after one sixth of the layers
TUNED, FEWEST_TUNED = 3, 2000  # layers that it tunes from there on; texts with an entity, below which it tunes none
FEW_ANNOTATED = 40  # texts with an entity; below, what was annotated is remembered, too
TEXTS_TIMES_LAYERS, FEWEST_LAYERS = 12_000, 2  # of a fusion, where bot.yml does not say how many
HINT_LOOSENESS = 2.0  # a name or description is worth half an example
START: Mapping[str, ViewKernel] = {
    "bert": ViewKernel(1.0, 3.0),
    "onehot": ViewKernel(0.2, 1.0),
    "word2vec": ViewKernel(0.03, 3.0),
    "fasttext": ViewKernel(0.03, 3.0),
    "gru": ViewKernel(0.03, 3.0),
    "use": ViewKernel(1.0, 3.0),
    FUSION_VIEW: ViewKernel(1.0, 3.0),  # one that continues a pretrained encoder
}
START_OTHER = ViewKernel(0.1, 3.0)


def train_model(config: Config, corpus: Corpus, progress: Progress = lambda stage, done, total: None) -> Model:
    """Train all of it.

    Raises:
        TrainingError: if there is nothing to learn from.
        ProjectError: if an encoder of bot.yml cannot be built.
    """
    if not corpus.texts:
        raise TrainingError("there are no examples and no intent descriptions to learn from")
    import torch  # noqa: F401 - so that its threads are limited too

    limit_threads(config.threads)
    utterances = [tokenize(text, config.language) for text in corpus.texts]
    meaning = Meaning(tuple(sorted(set(corpus.classes))))
    number = {name: i for i, name in enumerate(meaning.classes)}
    labels = np.array([number[name] for name in corpus.classes], np.int64)
    encoders, learners = fit_encoders(config, utterances, corpus.classes, progress)
    if taught_entities(config, corpus):
        encoders = replace(encoders, tagged=to_tag(encoders.encoders))
    release()
    progress("look", 0, 1)
    cache = FeatureCache(config.cache_path / "features.db")
    units = encoders.see(utterances, cache)
    progress("look", 1, 1)
    views = sentences(units)
    tagger = learn_entities(config, corpus, utterances, units, encoders, progress)
    few = tagger is None or taught_entities(config, corpus) < FEW_ANNOTATED
    tables = remembered(corpus) if few else corpus.entities
    tuned = config.fusion.tune != "none"  # else nobody reads the words of the label-free encoders again
    continued = encoders.continued.name if encoders.continued is not None else None  # read by its lower states
    answers = [tokenize(text, config.language) for text in dict.fromkeys(corpus.answers.values())] if tuned else []
    material = Material(
        utterances=utterances,
        classes=corpus.classes,
        labels=labels,
        units=units.without(continued).narrowed() if tuned else Units({}, None, units.count),
        answers=answers,
        answer_units=encoders.see(answers, cache).without(continued).narrowed() if answers else None,
        answer_of=answers_of(corpus) if tuned else np.full(len(labels), -1),
    )
    del units  # the words of a large vocabulary are not needed any more
    release()
    members, fitted = train_members(config, material, encoders, learners, progress)
    del material
    release()
    progress("weigh", 0, 1)
    views = apart({**views, **fitted}, utterances)
    kinds = {**encoders.types, **{n: config.encoders[n].type for n in learners}}
    if encoders.continued is not None:
        kinds[FUSION_VIEW] = FUSION_VIEW
    start = {name: START.get(kinds.get(name, ""), START_OTHER) for name in views}
    looseness = np.where(np.array(corpus.hints or (False,) * len(labels)), HINT_LOOSENESS, 1.0).astype(np.float32)
    head = learn_head(config, members, views, labels, start, looseness)
    progress("weigh", 1, 1)
    return Model(config.language, encoders, members, head, meaning, tables, tagger)


def learn_head(
    config: Config,
    members: Sequence[Member],
    views: Views,
    labels: IntArray,
    start: Mapping[str, ViewKernel],
    looseness: FloatArray,
) -> AnyHead:
    """A head on all views; where the posterior is that of the fusion, one for each draw."""
    settings, classes = head_config(config), int(labels.max()) + 1
    fusions = list(members[0].fusions) if members and config.posterior.of == "fusion" else []
    if not fusions:
        return fit_head(settings, views, labels, classes, start, seed=config.seed, looseness=looseness)
    return fit_mixture(
        settings,
        FUSION_VIEW,
        fusions,
        views,
        labels,
        classes,
        start,
        seed=config.seed,
        looseness=looseness,
        told=worst([member.notes for member in members]),
    )


def worst(notes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """R-hat and effective sample size of the chain that did worst; nothing where nothing was sampled."""
    if not all(notes):
        return {}
    return {
        "r_hat": max(one["r_hat"] for one in notes),
        "effective_sample_size": min(one["effective_sample_size"] for one in notes),
    }


def learn_entities(
    config: Config,
    corpus: Corpus,
    utterances: Sequence[Utterance],
    units: Units,
    encoders: EncoderSet,
    progress: Progress,
) -> Tagger | None:
    """The tagger, where the examples are annotated and bot.yml wants one."""
    taught = taught_entities(config, corpus)
    if not taught:
        return None
    from dialogue.tagging.tagger import fit_tagger

    return fit_tagger(
        utterances,
        corpus.annotated,
        units,
        corpus.patterns,
        layers_to_tune(encoders) if taught >= FEWEST_TUNED else {},
        intents=corpus.taught_intents(),
        seed=config.seed,
        progress=lambda done, total: progress("entities", done, total),
    )


def taught_entities(config: Config, corpus: Corpus) -> int:
    """How many texts there are with an entity to learn from; 0 where bot.yml does not want it."""
    return sum(map(bool, corpus.annotated)) if config.entities.learn else 0


def answers_of(corpus: Corpus) -> IntArray:
    """For each text the number of its stored answer, -1 for none: [N]."""
    number = {text: i for i, text in enumerate(dict.fromkeys(corpus.answers.values()))}
    found = [number[corpus.answers[name]] if name in corpus.answers else -1 for name in corpus.classes]
    return np.array(found, np.int64)


def head_config(config: Config) -> HeadConfig:
    """The head's part of bot.yml."""
    p = config.posterior
    kind = "conjugate" if p.of == "fusion" else p.type  # of each of the heads then
    choice = Choice(kind, p.hessian, p.rank, p.sampler, p.heads, p.dropout)
    return HeadConfig(choice, p.interval, p.unknown_prior, p.samples)


def fit_encoders(
    config: Config, utterances: Sequence[Utterance], classes: Sequence[str], progress: Progress
) -> tuple[EncoderSet, tuple[str, ...]]:
    """Fit every encoder that needs no labels; name those that do."""
    built = build_encoders(config)
    learners = tuple(name for name, encoder in built.items() if encoder.supervised)
    fitted: dict[str, Encoder] = {}
    for done, (name, encoder) in enumerate(built.items()):
        progress("encoders", done, len(built))
        if not encoder.supervised:
            fitted[name] = fit_encoder(name, encoder, utterances, classes, config.seed)
    progress("encoders", len(built), len(built))
    types = {name: config.encoders[name].type for name in fitted}
    return EncoderSet(fitted, types, to_continue(fitted, config.fusion, len(utterances))), learners


def to_tag(encoders: Mapping[str, Encoder]) -> tuple[Continued, ...]:
    """The pretrained encoders whose early layers can be read and continued."""
    return tuple(
        Continued(name, encoder.layers - encoder.layers // SKIPPED)
        for name, encoder in encoders.items()
        if isinstance(encoder, BertEncoder) and encoder.continues
    )


def layers_to_tune(encoders: EncoderSet) -> dict[str, TopLayers]:
    """The layers of each encoder that go on from what the tagger reads of it."""
    found = {}
    for name, layers in ((one.name, one.layers) for one in encoders.tagged):
        encoder = encoders.encoders[name]
        top = encoder.top_layers(layers) if isinstance(encoder, BertEncoder) else None
        if top is not None:
            found[name] = replace(top, layers=top.layers[:TUNED])
    return found


def to_continue(encoders: Mapping[str, Encoder], fusion: FusionSection, texts: int) -> Continued | None:
    """The first pretrained encoder whose last layers can be continued, by a fusion that learns from so many texts."""
    if fusion.tune == "none":
        return None
    wanted = layers_for(texts) if fusion.layers is None else fusion.layers
    for name, encoder in encoders.items():
        if isinstance(encoder, BertEncoder) and encoder.continues:
            return Continued(name, encoder.layers if fusion.tune == "all" else min(wanted, encoder.layers))
    return None


def layers_for(texts: int) -> int:
    """How many layers to tune on so many texts: the fewer they are, the more it helps, and the less it costs."""
    return max(FEWEST_LAYERS, TEXTS_TIMES_LAYERS // texts)
