"""`pipeline:` of config.yml: what each NLU component of Rasa 3.6 is here.

All components together are our encoders, the fusion and the posterior, so the pipeline changes little: options of the
featurizers that mean the same are carried, a FallbackClassifier becomes the gate's threshold, the rest is told.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from dialogue.rasa.found import Row, listing, named, scalar, sentence
from dialogue.rasa.parts import Part, read_parts, unknown
from dialogue.training.nodes import Node, Report, Scalar, plain

WORDS = "language"
MARKS = "examples, lookup, regex"
LEARNED = "encoders, fusion, posterior"
PRETRAINED = "encoders.bert"
DUCKLING = ("dimensions", "locale", "timezone", "timeout")
DUCKLING_URL = "RASA_DUCKLING_HTTP_URL"
NO_OPTIONS = "no such options here"
THRESHOLDS: Mapping[str, float] = MappingProxyType({"threshold": 0.3, "ambiguity_threshold": 0.1})


@dataclass(frozen=True, slots=True)
class Known:
    """A component whose row is always the same. Its options are named as without effect, except those in `silent`."""

    here: str
    remark: str = ""
    lost: bool = False
    silent: tuple[str, ...] = ()


_PACKAGED = "the packaged pretrained encoder; `model` under bert takes another"
_LANGUAGE = "how texts are cut into words follows from the language"
_DIET = ("epochs", "run_eagerly", "constrain_similarities", "entity_recognition", "intent_classification")
_ENTITIES = "entities are what the examples mark, and regexes and lookups with the name of an entity"

COMPONENTS: Mapping[str, Known] = MappingProxyType(
    {
        "WhitespaceTokenizer": Known(WORDS, _LANGUAGE),
        "JiebaTokenizer": Known(WORDS, "Chinese is cut into words by rjieba"),
        "SpacyTokenizer": Known(WORDS, _LANGUAGE),
        "MitieTokenizer": Known(WORDS, _LANGUAGE),
        "SpacyNLP": Known(PRETRAINED, _PACKAGED, silent=("model", "case_sensitive")),
        "MitieNLP": Known(PRETRAINED, _PACKAGED, silent=("model",)),
        "SpacyFeaturizer": Known(PRETRAINED, _PACKAGED, silent=("pooling",)),
        "MitieFeaturizer": Known(PRETRAINED, _PACKAGED, silent=("pooling",)),
        "ConveRTFeaturizer": Known(PRETRAINED, _PACKAGED, silent=("model_url",)),
        "LanguageModelFeaturizer": Known(PRETRAINED, _PACKAGED, silent=("model_name",)),
        "RegexFeaturizer": Known("regex, lookup", "those with the name of an entity find it; none is a feature"),
        "LexicalSyntacticFeaturizer": Known("encoders", "fasttext and gru read how words are spelt"),
        "DIETClassifier": Known(LEARNED, _ENTITIES, silent=_DIET),
        "LogisticRegressionClassifier": Known(LEARNED, "a Gaussian process decides"),
        "SklearnIntentClassifier": Known(LEARNED, "a Gaussian process decides"),
        "MitieIntentClassifier": Known(LEARNED, "a Gaussian process decides"),
        "KeywordIntentClassifier": Known(LEARNED, "an example is learned from, not searched for in the message"),
        "CRFEntityExtractor": Known(MARKS, _ENTITIES),
        "RegexEntityExtractor": Known("regex, lookup", "found as whole words, whatever their case"),
        "EntitySynonymMapper": Known("synonym"),
        "ResponseSelector": Known(
            "posterior", "answers are ranked with the intents", silent=("epochs", "retrieval_intent")
        ),
        "SpacyEntityExtractor": Known("", "spaCy's entities are not found; give examples, a lookup or a regex", True),
        "MitieEntityExtractor": Known("", "MITIE's entities are not found; give examples, a lookup or a regex", True),
        "HFTransformersNLP": Known(PRETRAINED, f"went with Rasa 2; {_PACKAGED}"),
        "LanguageModelTokenizer": Known(WORDS, f"went with Rasa 2; {_LANGUAGE}"),
        "ConveRTTokenizer": Known(WORDS, f"went with Rasa 2; {_LANGUAGE}"),
        "EmbeddingIntentClassifier": Known(LEARNED, "went with Rasa 1"),
        "DucklingHTTPExtractor": Known("", "went with Rasa 1; use DucklingEntityExtractor", True),
    }
)
KNOWN = (*COMPONENTS, "CountVectorsFeaturizer", "DucklingEntityExtractor", "FallbackClassifier")


@dataclass(slots=True)
class Pipeline:
    """What the pipeline comes to: options for the `words` encoder, the gate and Duckling, a row for each component."""

    rows: list[Row] = field(default_factory=list)
    words: dict[str, Node] = field(default_factory=dict)
    gate: dict[str, Node] | None = None
    duckling: dict[str, Node] | None = None


def read_pipeline(section: Node, report: Report) -> Pipeline:
    """Read the list under `pipeline:`. Without a FallbackClassifier the gate keeps its default, and weighs costs."""
    pipeline = Pipeline()
    parts = list(read_parts(section, "pipeline", KNOWN, report))
    for part in parts:
        if part.name == "CountVectorsFeaturizer":
            pipeline.rows.append(_read_counts(part, pipeline))
        elif part.name == "FallbackClassifier":
            pipeline.rows.append(_read_fallback(part, pipeline))
        elif part.name == "DucklingEntityExtractor":
            pipeline.rows.append(_read_duckling(part, pipeline))
        elif part.name in COMPONENTS:
            pipeline.rows.append(_row(part, COMPONENTS[part.name]))
        else:
            pipeline.rows.append(unknown(part, "component", KNOWN))
    if not parts:
        pipeline.rows.append(Row(section.where, "pipeline", LEARNED, "nothing is listed: starfold's own defaults"))
    return pipeline


def _row(part: Part, known: Known) -> Row:
    if known.lost:
        return Row(part.where, part.name, known.here, known.remark, True)
    weights = part.given("model_weights")
    asked = f"model_weights {plain(weights['model_weights'])}" if weights else ""
    left = named(part.others("model_weights", *known.silent), NO_OPTIONS)
    return Row(part.where, part.name, known.here, sentence(known.remark, asked, left))


def _read_counts(part: Part, pipeline: Pipeline) -> Row:
    """Its n-grams, least count and case are those of the `words` encoder. What is not written keeps our default."""
    analyzer = plain(part.options["analyzer"]) if "analyzer" in part.options else "word"
    known = ["analyzer", "lowercase"]
    if analyzer == "word":
        known.append("max_ngram")
        if longest := part.given("max_ngram"):
            pipeline.words["word_ngrams"] = longest["max_ngram"]
        if plain(part.options.get("min_ngram", Scalar(part.where, 1, "1"))) == 1:
            known.append("min_ngram")
    elif lengths := part.given("min_ngram", "max_ngram"):
        known += ["min_ngram", "max_ngram"]
        shortest = lengths.get("min_ngram", Scalar(part.where, 1, "1"))
        pipeline.words["char_ngrams"] = listing(part.where, (shortest, lengths.get("max_ngram", shortest)))
    counts = part.given("min_df")
    if counts and isinstance(plain(counts["min_df"]), int):
        known.append("min_df")
        pipeline.words["min_count"] = counts["min_df"]
    pipeline.words.update(part.given("lowercase"))
    return Row(part.where, part.name, "encoders.words", named(part.others(*known), NO_OPTIONS))


def _read_fallback(part: Part, pipeline: Pipeline) -> Row:
    """The gate compares with the thresholds instead of weighing costs."""
    given = part.given(*THRESHOLDS)
    numbers = {name: given.get(name, Scalar(part.where, value, str(value))) for name, value in THRESHOLDS.items()}
    pipeline.gate = {"threshold": numbers["threshold"], "margin": numbers["ambiguity_threshold"]}
    told = ", ".join(f"{name} {plain(node)}" for name, node in pipeline.gate.items())
    left = named(part.others(*THRESHOLDS), NO_OPTIONS)
    return Row(part.where, part.name, "policies: confidence", sentence(told, left))


def _read_duckling(part: Part, pipeline: Pipeline) -> Row:
    """Its server is asked as Rasa asks it; the environment's URL wins over the one written, as in Rasa."""
    given = part.given("url", *DUCKLING)
    if url := os.environ.get(DUCKLING_URL):
        given["url"] = scalar(part.where, url)
    if "url" not in given:
        remark = f"there is no url, nor {DUCKLING_URL} in the environment: nothing from Duckling"
        return Row(part.where, part.name, "", remark, True)
    pipeline.duckling = given
    return Row(part.where, part.name, "duckling", named(part.others("url", *DUCKLING), NO_OPTIONS))
