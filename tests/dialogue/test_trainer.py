"""Training: members never judge what they have seen, the smallest bots train, and the parts of bot.yml are obeyed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

import dialogue.training.members as members_module
import dialogue.training.trainer as trainer_module
from dialogue.encoding import Continued, EncoderSet
from dialogue.errors import TrainingError
from dialogue.fusion.member import FUSION_VIEW, Member, average, load_fusion, out_of_fold
from dialogue.model import Model
from dialogue.posterior.family import PosteriorName
from dialogue.posterior.kernel import View
from dialogue.training.corpus import Corpus
from dialogue.training.members import Material, train_members
from dialogue.training.trainer import answers_of, fit_encoders, layers_for, train_model
from encoders.onehot import OneHotEncoder
from encoders.tokenizer import tokenize
from policies.types import Entity
from tests.dialogue.tinybots import Witness, config, corpus
from tests.dialogue.toys import noise_rows, sparse
from tests.encoders.tiny import save_tiny

WITNESS = "tests.dialogue.tinybots:Witness"


def quiet(stage: str, done: int, total: int) -> None:
    """Nobody is told."""


def material(taught: Corpus) -> tuple[Material, EncoderSet]:
    utterances = [tokenize(text) for text in taught.texts]
    encoders = EncoderSet({"words": OneHotEncoder().fit(utterances)}, {"words": "onehot"}, None)
    labels = np.unique(taught.classes, return_inverse=True)[1].astype(np.int64)
    units = encoders.see(utterances).narrowed()
    return Material(utterances, taught.classes, labels, units, [], None, np.full(len(labels), -1)), encoders


@pytest.mark.parametrize("folds", [2, 3])
def test_out_of_fold_features_come_from_the_member_that_did_not_see_the_text(folds: int, tmp_path: Path) -> None:
    taught = corpus(10)
    made = config(tmp_path, encoders={"words": "onehot", "w": WITNESS}, fusion={"tune": "none", "folds": folds})
    found, encoders = material(taught)
    members, views = train_members(made, found, encoders, ("w",), quiet)
    assert len(members) == folds
    assert np.array_equal(views["w"], np.tile([0.0, 1.0], (50, 1)))
    seen: list[frozenset[str]] = [getattr(member.encoders["w"], "seen_", frozenset()) for member in members]
    for text in set(taught.texts):
        assert sum(text in each for each in seen) == folds - 1


def test_the_fusion_s_features_are_by_the_member_that_was_not_trained_on_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dealt: list[tuple[list[int], list[int]]] = []
    real = members_module.tune

    def spy(config: Any, material: Any, encoders: Any, own: Any, rows: Any, rest: Any, progress: Any) -> Any:
        dealt.append((rows.tolist(), rest.tolist()))
        return real(config, material, encoders, own, rows, rest, progress)

    monkeypatch.setattr(members_module, "tune", spy)
    found, encoders = material(corpus(10))
    made = config(tmp_path, encoders={"words": "onehot"}, fusion={"epochs": 1})
    members, views = train_members(made, found, encoders, (), quiet)
    assert sorted(dealt[0][1] + dealt[1][1]) == list(range(50))
    for (rows, rest), member in zip(dealt, members, strict=True):
        assert not set(rows) & set(rest)
        own = member.fusions[FUSION_VIEW].encode(found.units.pick(np.array(rest)))
        assert np.allclose(np.asarray(views[FUSION_VIEW])[rest], own, atol=1e-5)


@pytest.mark.parametrize("kind", ["few texts", "one intent", "nothing to train"])
def test_where_members_cannot_be_judged_there_are_none(kind: str, tmp_path: Path) -> None:
    taught = {"few texts": corpus(7), "one intent": corpus(45, ("greet",)), "nothing to train": corpus(10)}[kind]
    fusion = {"tune": "none"} if kind == "nothing to train" else {"epochs": 1}
    found, encoders = material(taught)
    made = config(tmp_path, encoders={"words": "onehot"}, fusion=fusion)
    assert train_members(made, found, encoders, (), quiet) == ([], {})


@pytest.mark.parametrize("as_sparse", [False, True])
def test_views_of_folds_are_put_back_in_order(as_sparse: bool) -> None:
    whole: Any = sparse(noise_rows(6, 5, 0)) if as_sparse else noise_rows(6, 5, 0)
    fold = np.array([1, 0, 0, 1, 2, 0])
    parts: list[dict[str, View]] = [{"v": whole[np.flatnonzero(fold == m)]} for m in range(3)]
    found: Any = out_of_fold(parts, fold)["v"]
    assert abs(found - whole).max() == 0
    assert out_of_fold([], fold) == {}


def test_members_are_averaged_to_length_one_and_blank_stays_blank() -> None:
    one = np.array([[1.0, 0.0], [0.0, 0.0]], np.float32)
    other = np.array([[0.0, 1.0], [0.0, 0.0]], np.float32)
    assert np.allclose(average([{"v": one}, {"v": other}])["v"], [[0.5**0.5, 0.5**0.5], [0, 0]])
    assert average([]) == {}


def test_a_member_comes_back_from_disk(tmp_path: Path) -> None:
    found, encoders = material(corpus(10))
    made = config(tmp_path, encoders={"words": "onehot", "w": WITNESS}, fusion={"epochs": 1})
    member = train_members(made, found, encoders, ("w",), quiet)[0][0]
    member.save(tmp_path)
    again = Member.load(tmp_path, member.types)
    before, after = (each.see(found.utterances, found.units) for each in (member, again))
    assert list(before) == list(after) == ["w", FUSION_VIEW]
    assert all(np.allclose(before[name], after[name], atol=1e-6) for name in before)
    (tmp_path / "fusion.json").write_text('{"hidden": 3}')
    with pytest.raises(ValueError, match=r"fusion\.json"):
        load_fusion(tmp_path)


def test_only_encoders_that_need_no_labels_are_fitted_on_everything(tmp_path: Path) -> None:
    made = config(tmp_path, encoders={"words": "onehot", "w": WITNESS})
    taught = corpus(2)
    encoders, learners = fit_encoders(made, [tokenize(text) for text in taught.texts], taught.classes, quiet)
    assert list(encoders.encoders) == ["words"]
    assert encoders.continued is None
    assert learners == ("w",)


@pytest.mark.parametrize(
    ("texts", "layers"), [(1, 12_000), (2_000, 6), (2_001, 5), (4_000, 3), (4_001, 2), (90_000, 2)]
)
def test_the_fewer_texts_the_more_layers_are_tuned(texts: int, layers: int) -> None:
    assert layers_for(texts) == layers


@pytest.mark.parametrize(("fusion", "layers"), [({"layers": 1}, 1), ({"layers": None}, 3), ({"tune": "all"}, 3)])
def test_no_more_layers_are_continued_than_there_are(tmp_path: Path, fusion: dict[str, object], layers: int) -> None:
    bert = {"type": "bert", "model": str(save_tiny("bert", tmp_path / "bert")), "max_tokens": 24}
    made = config(tmp_path, encoders={"bert": bert}, fusion=fusion)
    taught = corpus(2)
    encoders, _ = fit_encoders(made, [tokenize(text) for text in taught.texts], taught.classes, quiet)
    assert encoders.continued == Continued("bert", layers)


def test_texts_know_their_stored_answers() -> None:
    taught = Corpus(("a", "b", "c", "d"), ("faq/x", "greet", "faq/y", "faq/z"), answers={"faq/x": "X", "faq/z": "Z"})
    assert answers_of(taught).tolist() == [0, -1, -1, 1]
    same = replace(taught, answers={"faq/x": "X", "faq/y": "X"})
    assert answers_of(same).tolist() == [0, -1, 0, -1]


def test_layers_are_tuned_for_entities_where_enough_are_annotated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bert = {"type": "bert", "model": str(save_tiny("bert", tmp_path / "bert")), "max_tokens": 24}
    made = config(tmp_path, encoders={"bert": bert}, fusion={"tune": "none"})
    plain = corpus(20)
    marked = tuple((Entity("first", 0, len(text.split()[0]), text.split()[0], "gold"),) for text in plain.texts)
    taught = replace(plain, annotated=marked)
    assert train_model(made, taught).tagger.layers == {}  # type: ignore[union-attr]
    monkeypatch.setattr(trainer_module, "FEWEST_TUNED", len(taught.texts))
    model = train_model(made, taught)
    assert model.tagger is not None
    assert list(model.tagger.layers) == ["bert"]
    (tmp_path / "model").mkdir()
    model.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    assert again.encoders.tagged == model.encoders.tagged
    (found,), (kept,) = (one.parse(taught.texts[0]).entities for one in (model, again))
    assert replace(kept, confidence=None) == replace(found, confidence=None)
    assert kept.confidence == pytest.approx(
        found.confidence, abs=1e-6
    )  # where numbers lie in memory moves the last bits


def test_few_annotated_examples_teach_roles_and_are_remembered(tmp_path: Path) -> None:
    trips = [
        ("rome", "oslo"),
        ("oslo", "lima"),
        ("lima", "quito"),
        ("quito", "rome"),
        ("paris", "delhi"),
        ("delhi", "paris"),
    ]
    texts = [f"a ticket from {start} to {end}" for start, end in trips]
    marked = tuple(
        tuple(
            Entity("city", text.index(city), text.index(city) + len(city), city, "gold", role=role)
            for city, role in zip(pair, ("departure", "destination"), strict=True)
        )
        for text, pair in zip(texts, trips, strict=True)
    )
    plain = corpus(5)
    taught = Corpus(
        (*texts, *plain.texts), ("fly",) * 6 + plain.classes, annotated=(*marked, *((),) * len(plain.texts))
    )
    model = train_model(config(tmp_path, encoders={"words": "onehot"}, fusion={"tune": "none"}), taught)
    found = model.parse("a ticket from delhi to oslo").entities
    assert [(one.value, one.role) for one in found] == [("delhi", "departure"), ("oslo", "destination")]
    assert [one.value for one in model.parse("paris greets delhi").entities if one.entity == "city"] == [
        "paris",
        "delhi",
    ]


def test_what_is_annotated_within_words_only_is_remembered_however_much_there_is(tmp_path: Path) -> None:
    plain = corpus(10)
    marked = tuple((Entity("letter", 0, 1, text[0], "gold"),) for text in plain.texts)
    taught = replace(plain, annotated=marked)
    model = train_model(config(tmp_path, encoders={"words": "onehot"}, fusion={"tune": "none"}), taught)
    assert model.tagger is None
    assert set(model.entities.lookups["letter"]) == {text[0] for text in plain.texts}


@pytest.mark.parametrize("encoder", [{"type": "bert", "model": "."}, {"type": "word2vec", "vectors": "bot.yml"}])
def test_an_encoder_that_cannot_be_fitted_is_named(encoder: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"encoder 'one' of bot\.yml: (model folder|vectors)"):
        train_model(config(tmp_path, encoders={"one": encoder}), corpus())


def test_nothing_to_learn_from_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no examples"):
        train_model(config(tmp_path), Corpus((), ()))


@pytest.mark.usefixtures("short_runs")
@pytest.mark.parametrize("posterior", get_args(PosteriorName))
def test_the_head_of_bot_yml_is_the_one_that_is_trained(posterior: str, tmp_path: Path) -> None:
    section = {"type": posterior, "samples": 7, "interval": 0.5, "unknown_prior": 0.3}
    model = train_model(config(tmp_path, encoders={"words": "onehot"}, posterior=section), corpus(3))
    assert (model.head.config.posterior.type, model.head.config.interval) == (posterior, 0.5)
    assert (model.head.config.samples, model.head.config.unknown_prior) == (7, 0.3)
    assert model.parse("pizza now").top is not None


def test_a_fusion_that_nothing_has_proved_starts_with_little_weight(tmp_path: Path) -> None:
    """With one text an intent nothing can be left out, and a fusion from scratch has learned nothing."""
    names = tuple(f"intent_{number}" for number in range(42))
    taught = Corpus(tuple(f"word{number} thing{number}" for number in range(42)), names)
    model = train_model(config(tmp_path, encoders={"words": "onehot"}, fusion={"epochs": 1}), taught)
    parts = model.head.process.kernel.parts
    assert parts[FUSION_VIEW].weight < parts["words"].weight
    assert [model.parse(text).intents[0].name for text in taught.texts] == list(names)


def test_progress_is_told_in_order_and_to_the_end(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    made = config(tmp_path, encoders={"words": "onehot"}, fusion={"epochs": 1})
    train_model(made, corpus(8), lambda *progress: told.append(progress))
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == ["encoders", "look", "fusion 1 of 2", "fusion 2 of 2", "weigh"]
    for stage in stages[1:]:
        assert [done for name, done, _ in told if name == stage][-1] == [
            total for name, _, total in told if name == stage
        ][-1]


def test_training_leaves_the_random_state_alone_and_its_seed_decides(tmp_path: Path) -> None:
    state, plain = torch.get_rng_state(), np.random.get_state()
    made = config(tmp_path, fusion={"epochs": 1})
    first, second = (train_model(made, corpus(8)).predict(["pizza", "storm and dogs", "xyz"]) for _ in range(2))
    assert np.array_equal(first.mean, second.mean)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], plain[1])  # type: ignore[index]


def test_the_witness_is_a_proper_encoder(tmp_path: Path) -> None:
    utterances = [tokenize("seen")]
    encoder = Witness().fit(utterances)
    encoder.save(tmp_path)
    assert Witness.load(tmp_path).encode([*utterances, tokenize("new")]).sentence.tolist() == [[1, 0], [0, 1]]
