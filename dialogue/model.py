"""The trained model: from a text to a belief."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import local
from types import MappingProxyType

import numpy as np
from scipy.special import softmax

from dialogue.encoding import Continued, EncoderSet
from dialogue.entities import EntityTables, find_entities
from dialogue.errors import suggestion
from dialogue.fusion.member import Member, average
from dialogue.fusion.units import Units
from dialogue.posterior.base import Predictive
from dialogue.posterior.kernel import FloatArray, View, by_column
from dialogue.posterior.mixture import AnyHead, load_head
from dialogue.posterior.predictive import bounds
from dialogue.tagging.tagger import Reading, Tagger
from dialogue.views import apart, sentences
from encoders.cache import FeatureCache
from encoders.features import Utterance
from encoders.tokenizer import tokenize
from policies.types import Belief, Candidate, Entity

FILE = "model.json"
SMALLEST = np.float32(1e-30)
TOGETHER = 8  # texts whose posterior is drawn at once: draws [S, B, K] take memory


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the K classes of the head stand for.

    `classes` [K] are intents, or answers of retrieval intents such as `faq/wifi`; `intents` their intents, each once.
    """

    classes: tuple[str, ...]

    @property
    def intents(self) -> tuple[str, ...]:
        """The intents, in order of first appearance."""
        return tuple(dict.fromkeys(name.partition("/")[0] for name in self.classes))

    def groups(self) -> dict[str, list[int]]:
        """For each intent the numbers of its classes."""
        grouped: dict[str, list[int]] = {}
        for number, name in enumerate(self.classes):
            grouped.setdefault(name.partition("/")[0], []).append(number)
        return grouped

    def members(self) -> FloatArray:
        """[K, intents]: 1 where a class is one of an intent's."""
        groups = self.groups()
        found = np.zeros((len(self.classes), len(groups)), np.float32)
        for column, numbers in enumerate(groups.values()):
            found[numbers, column] = 1
        return found


class Model:
    """Reads messages. Several threads may share one."""

    def __init__(
        self,
        language: str,
        encoders: EncoderSet,
        members: Sequence[Member],
        head: AnyHead,
        meaning: Meaning,
        entities: EntityTables,
        tagger: Tagger | None = None,
    ) -> None:
        self.language = language
        self.encoders = encoders
        self.members = tuple(members)
        self.head = head
        self.meaning = meaning
        self.entities = entities
        self.tagger = tagger
        self._taught = by_column(head.views)
        self._groups = meaning.groups()
        self._members = meaning.members()
        names = [name.partition("/")[0] for name in meaning.classes]
        self._tagged = tagger.taught.columns(names) if tagger is not None else np.zeros((len(names), 0), np.float32)
        self._answers = {
            name: answers
            for name, numbers in self._groups.items()
            if (answers := [number for number in numbers if meaning.classes[number] != name])
        }
        self._last = local()

    @property
    def timings(self) -> Mapping[str, float]:
        """Milliseconds of each stage of this thread's last `parse`: every encoder, `fusion`, `posterior`."""
        return MappingProxyType(getattr(self._last, "timings", {}))

    def parse(self, text: str) -> Belief:
        """What one text means."""
        return self.parse_many([text])[0]

    def parse_many(self, texts: Sequence[str]) -> list[Belief]:
        """What each text means; the encoders look at all of them at once. `timings` are those of the whole."""
        clock: dict[str, float] = {}
        utterances = [tokenize(text, self.language) for text in texts]
        units = self.encoders.see(utterances, None, clock)
        views = self.views_of(utterances, units, clock)
        start = time.perf_counter()
        readings = self.read(utterances, units)
        lean = self.lean(readings)
        clock["entities"] = (time.perf_counter() - start) * 1000
        start = time.perf_counter()
        parts = self.head.by_view(views, self._taught)
        beliefs = []
        for first in range(0, len(texts), TOGETHER):
            some = slice(first, first + TOGETHER)
            rows = {name: found[some] for name, found in parts.items()}
            predictive = self.head.predict_rows(
                np.sum(list(rows.values()), axis=0), bounded=False, lean=None if lean is None else lean[some]
            )
            beliefs += self.believe(predictive, rows, utterances[some], readings[some])
        clock["posterior"] = (time.perf_counter() - start) * 1000
        self._last.timings = clock
        return beliefs

    def predict(self, texts: Sequence[str], cache: Path | None = None) -> Predictive:
        """The posterior predictive, without draws, of many texts over the classes of `meaning`.

        Features of pretrained encoders are taken from the folder `cache` if there is one.
        """
        utterances = [tokenize(text, self.language) for text in texts]
        units = self.encoders.see(utterances, self._store(cache))
        lean = self.lean(self.read(utterances, units))
        return self.head.predict(self.views_of(utterances, units), keep_draws=False, lean=lean)

    def select(self, context: str, candidates: Sequence[str]) -> tuple[Candidate, ...]:
        """Rank free answers to a context by the dual encoder, most probable first.

        Means are a softmax over the candidates. Only draws of the fusion differ in them; without, each interval is a
        point.

        Raises:
            ValueError: if the model has no fusion, or there are no candidates.
        """
        from dialogue.fusion.training import TEMPERATURE

        if not self.members or not self.members[0].fusions:
            raise ValueError("free answers are ranked by the fusion, and this model has none; train with fusion.tune")
        if not candidates:
            raise ValueError("no candidates to select from")
        views = self.views([tokenize(text, self.language) for text in (context, *candidates)])
        features = np.stack([views[name] for name in self.members[0].fusions])  # [S, 1 + candidates, H]
        draws = softmax(np.einsum("sch,sh->sc", features[:, 1:], features[:, 0]) / TEMPERATURE, axis=1)
        p = draws.mean(axis=0)
        lower, upper = bounds(draws, self.head.config.interval)
        return tuple(Candidate(candidates[i], float(p[i]), float(lower[i]), float(upper[i])) for i in np.argsort(-p))

    def teach(self, text: str, name: str) -> Model:
        """A model that knows one more example of a class; encoders, members and kernel stay as they are.

        Raises:
            ValueError: if the class is not one of `meaning`.
        """
        if name not in self.meaning.classes:
            raise ValueError(f"there is no intent {name!r}{suggestion(name, self.meaning.classes)}")
        views = self.views([tokenize(text, self.language)])
        head = self.head.teach(views, self.meaning.classes.index(name))
        return Model(self.language, self.encoders, self.members, head, self.meaning, self.entities, self.tagger)

    def views(
        self, utterances: Sequence[Utterance], clock: dict[str, float] | None = None, cache: Path | None = None
    ) -> dict[str, View]:
        """Every view of N texts: the encoders' sentences, the averaged members'."""
        return self.views_of(utterances, self.encoders.see(utterances, self._store(cache), clock), clock)

    @staticmethod
    def _store(cache: Path | None) -> FeatureCache | None:
        return FeatureCache(cache / "features.db") if cache is not None else None

    def views_of(
        self, utterances: Sequence[Utterance], units: Units, clock: dict[str, float] | None = None
    ) -> dict[str, View]:
        """`views` from what the encoders saw."""
        start = time.perf_counter()
        members = average([member.see(utterances, units) for member in self.members])
        views = apart({**sentences(units), **members}, utterances)
        if clock is not None:
            clock["fusion"] = (time.perf_counter() - start) * 1000
        return views

    def read(self, utterances: Sequence[Utterance], units: Units) -> list[Reading]:
        """What the tagger makes of each text of the units; nothing without one."""
        return self.tagger.read(utterances, units) if self.tagger is not None else []

    def lean(self, readings: Sequence[Reading]) -> FloatArray | None:
        """[B, K] nats that the entities of B texts add to each class; None without a tagger."""
        if self.tagger is None or not readings:
            return None
        return self.tagger.lean(readings) @ self._tagged.T

    def find_entities(self, utterance: Utterance, reading: Reading | None, known: FloatArray) -> tuple[Entity, ...]:
        """The entities of a text: those that were learned, under a belief [K], and what patterns and tables find."""
        learned: tuple[Entity, ...] = ()
        if self.tagger is not None and reading is not None:
            learned = self.tagger.entities(reading, known @ self._tagged)
        return find_entities(utterance, self.entities, learned)

    def believe(
        self,
        predictive: Predictive,
        parts: Mapping[str, FloatArray],
        utterances: Sequence[Utterance],
        readings: Sequence[Reading],
    ) -> list[Belief]:
        """The beliefs of B texts: their posterior predictive, kernel rows [B, N] by view, and readings, if any."""
        draws = predictive.draws  # [S, B, K]
        whole, *several = self.candidates(
            [list(self._groups), *([self.meaning.classes[n] for n in numbers] for numbers in self._answers.values())],
            [draws @ self._members, *(shares(draws[:, :, numbers]) for numbers in self._answers.values())],
        )
        responses = dict(zip(self._answers, several, strict=True))
        top = predictive.known.argmax(axis=1)
        return [
            Belief(
                intents=intents,
                unknown=float(predictive.unknown[b]),
                entropy=float(predictive.entropy[b]),
                mutual_information=float(predictive.mutual_information[b]),
                responses={name: found[b] for name, found in responses.items()},
                entities=self.find_entities(utterances[b], readings[b] if readings else None, predictive.known[b]),
                contributions=self.head.contributions({n: k[b : b + 1] for n, k in parts.items()}, int(top[b])),
            )
            for b, intents in enumerate(whole)
        ]

    def candidates(
        self, names: Sequence[Sequence[str]], draws: Sequence[FloatArray]
    ) -> list[list[tuple[Candidate, ...]]]:
        """Of each of several sets, for each text its hypotheses, the most probable first.

        Args:
            names: of the N hypotheses of each set.
            draws: [S, B, N] of their probabilities, of each set.
        """
        together = np.concatenate(draws, axis=2)
        numbers = together.mean(axis=0), *bounds(together, self.head.config.interval)
        ends = np.cumsum([len(some) for some in names])[:-1]
        parts = zip(*(np.split(x, ends, axis=1) for x in numbers), strict=True)
        return [ranked(some, *part) for some, part in zip(names, parts, strict=True)]

    def save(self, folder: Path) -> None:
        """Write model.json, encoders/, members/, head/ and, where there is one, tagger/ into an empty folder."""
        continued = self.encoders.continued
        settings = {
            "language": self.language,
            "encoders": dict(self.encoders.types),
            "continued": [continued.name, continued.layers] if continued else None,
            "tagged": [[one.name, one.layers] for one in self.encoders.tagged],
            "members": [dict(member.types) for member in self.members],
            "classes": list(self.meaning.classes),
            "entities": self.entities.as_dict(),
            "tagger": self.tagger is not None,
        }
        (folder / FILE).write_text(json.dumps(settings, ensure_ascii=False, indent=1), "utf-8")
        self.encoders.save(folder / "encoders")
        for number, member in enumerate(self.members):
            (folder / "members" / str(number)).mkdir(parents=True)
            member.save(folder / "members" / str(number))
        (folder / "head").mkdir()
        self.head.save(folder / "head")
        if self.tagger is not None:
            (folder / "tagger").mkdir()
            self.tagger.save(folder / "tagger")

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Read what `save` wrote. Raises `ValueError` naming a missing or damaged file."""
        file = folder / FILE
        try:
            settings = json.loads(file.read_text("utf-8"))
            continued = Continued(*found) if (found := settings["continued"]) else None
            tagged = tuple(Continued(*one) for one in settings["tagged"])
            meaning = Meaning(tuple(settings["classes"]))
            tables = EntityTables.from_dict(settings["entities"])
            members, tags = settings["members"], settings["tagger"]
            encoders, language = settings["encoders"], settings["language"]
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file} is missing or damaged: {error}") from error
        return cls(
            language,
            EncoderSet.load(folder / "encoders", encoders, continued, tagged),
            [Member.load(folder / "members" / str(number), types) for number, types in enumerate(members)],
            load_head(folder / "head"),
            meaning,
            tables,
            Tagger.load(folder / "tagger") if tags else None,
        )


def shares(draws: FloatArray) -> FloatArray:
    """Draws [S, B, A] of probabilities as shares of their sums; where none is likely at all, none is preferred."""
    draws = draws + SMALLEST
    draws /= draws.sum(axis=2, keepdims=True)
    return draws


def ranked(names: Sequence[str], mean: FloatArray, lower: FloatArray, upper: FloatArray) -> list[tuple[Candidate, ...]]:
    """For each of B texts its hypotheses, the most probable first, from means and bounds [B, N]."""
    order = np.argsort(-mean, axis=1, kind="stable")
    sorted_ = (np.take_along_axis(x, order, axis=1).tolist() for x in (mean, lower, upper))
    named = ([names[n] for n in row] for row in order.tolist())
    return [tuple(map(Candidate, *row)) for row in zip(named, *sorted_, strict=True)]
