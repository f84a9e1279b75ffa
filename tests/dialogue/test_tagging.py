"""Entities that are learned: what is tagged, what is found, and how surely."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from dialogue.encoding import EncoderSet
from dialogue.entities import EntityTables, find_entities
from dialogue.fusion.forward import Fused
from dialogue.fusion.transformer import Fusion
from dialogue.fusion.units import Early, Seen, Units
from dialogue.tagging.features import mark_count, marks, piece_vectors, shares
from dialogue.tagging.forward import emissions, form, mean_emissions
from dialogue.tagging.network import Network
from dialogue.tagging.tagger import Tagger, compiled, fit_tagger, learned_from
from dialogue.tagging.tags import Label, first, inside, labels_of, pieces_of, tags_of
from dialogue.tagging.training import Lesson, chosen, collate, share_potentials
from dialogue.training.trainer import layers_to_tune, to_tag
from encoders.bert import BertEncoder
from encoders.bert_runtime import OnnxLayers
from encoders.fasttext import FastTextEncoder
from encoders.gru_forward import UNKNOWN
from encoders.tokenizer import tokenize
from policies.types import Entity
from tests.encoders.tiny import save_tiny

CITIES = ("rome", "oslo", "paris", "new york", "berlin", "lima", "quito", "cairo", "la paz", "delhi")
DAYS = ("monday", "friday", "sunday", "tomorrow", "next week")
CARRIERS = ("from {0} to {1} on {2}", "i want to go to {1} {2} , leaving {0}", "{2} : {0} - {1}", "to {1} from {0}")


def mark(text, *stretches):
    """Entities of stretches (words, type, role), each sought after the one before."""
    found, start = [], 0
    for words, kind, role in stretches:
        start = text.index(words, start)
        found.append(Entity(kind, start, start + len(words), words, "gold", role=role))
        start += len(words)
    return tuple(found)


def travel(number, seed):
    rng = np.random.default_rng(seed)
    for _ in range(number):
        carrier = CARRIERS[rng.integers(len(CARRIERS))]
        here, there = rng.choice(CITIES, 2, replace=False)
        text = carrier.format(here, there, DAYS[rng.integers(len(DAYS))])
        order = [("to", there), ("from", here)] if carrier.index("{1}") < carrier.index("{0}") else [
            ("from", here), ("to", there)]  # fmt: skip
        stretches = [(city, "city", role) for role, city in order]
        yield text, mark(text, *stretches)
    for text in ("hello there", "thanks a lot", "what can you do", "good bye", "are you a bot"):
        yield text, ()


@pytest.fixture(scope="module")
def taught():
    pairs = list(travel(120, 0))
    utterances = [tokenize(text) for text, _ in pairs]
    encoder = FastTextEncoder(epochs=5, dim=20).fit(utterances, ["x"] * len(pairs), seed=0)
    encoders = EncoderSet({"fasttext": encoder}, {"fasttext": "fasttext"}, None)
    annotated = [entities for _, entities in pairs]
    units = encoders.see(utterances)
    return utterances, annotated, units, encoders


@pytest.fixture(scope="module")
def tagger(taught):
    utterances, annotated, units, _ = taught
    found = fit_tagger(utterances, annotated, units, [("day", r"\b\w+day\b")], seed=0)
    assert found is not None
    return found


def find(tagger, utterances, units):
    return [tagger.entities(reading) for reading in tagger.read(utterances, units)]


def found_in(text, tagger, taught):
    utterance = tokenize(text)
    (found,) = find(tagger, [utterance], taught[3].see([utterance]))
    return found


def told(entities):
    return [(one.value, one.entity, one.role) for one in entities]


def test_a_role_is_told_by_what_stands_around(tagger, taught):
    entities = found_in("to quito from lima", tagger, taught)
    assert told(entities) == [("quito", "city", "to"), ("lima", "city", "from")]
    assert [(one.start, one.end) for one in entities] == [(3, 8), (14, 18)]
    assert all(0.5 < one.confidence <= 1 for one in entities)


def test_a_city_nobody_wrote_down_is_found_where_cities_stand(tagger, taught):
    entities = found_in("from zagreb to oslo on friday", tagger, taught)
    assert told(entities) == [("zagreb", "city", "from"), ("oslo", "city", "to")]


def test_nothing_is_found_where_nothing_is(tagger, taught):
    for text in ("", "   ", "hello there", "thanks a lot"):
        assert found_in(text, tagger, taught) == ()


def test_what_is_right_is_surer_than_what_is_wrong(tagger, taught):
    right, wrong = [], []
    for text, gold in travel(60, 9):
        noisy = text.replace("from", "out of").replace(",", "") if len(right) % 2 else text
        known = set(told(gold))
        for one in found_in(noisy, tagger, taught):
            (right if told([one])[0] in known else wrong).append(one.confidence)
    assert len(right) > 80
    assert np.mean(right) > 0.8
    assert not wrong or np.mean(wrong) < np.mean(right)


@pytest.fixture(scope="module")
def paired(taught):
    utterances, annotated, units, _ = taught
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dialogue.tagging.tagger.FEWEST_PAIRED", 100)
        patch.setattr("dialogue.tagging.training.PAIRED_EPOCHS", 3)
        return fit_tagger(utterances, annotated, units, [("day", r"\b\w+day\b")], seed=0)


@pytest.mark.parametrize("which", ["tagger", "paired"])
def test_numpy_serves_what_torch_learned(which, taught, request):
    tagger = request.getfixturevalue(which)
    utterances, _, units, _ = taught
    known = tagger.vocabulary
    sizes = (len(known.words), len(known.characters), 20, mark_count(tagger.patterns), 5, len(known.pairs))
    network = Network(*sizes).eval()
    (served,) = tagger.networks
    arrays = served.arrays
    network.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items() if k in network.state_dict()})
    rows = (0, 3, len(utterances) - 1)
    lessons, ours = [], []
    for i in rows:
        pieces = pieces_of(utterances[i])
        dense = piece_vectors(units, i, pieces)
        seen = marks(utterances[i].text, pieces, compiled(tagger.patterns))
        ours.append(emissions(tagger.vocabulary, served, [pieces], dense, seen))
        standard = (dense - arrays["mean"]) * arrays["scale"]
        lessons.append(Lesson([form(p) for p in pieces], standard, seen, np.zeros(len(pieces), np.int64)))
    with torch.inference_mode():
        theirs = network(collate(lessons, tagger.vocabulary)).numpy()
    for row, emission in enumerate(ours):
        assert np.allclose(theirs[row, : len(emission)], emission, atol=0.2)  # of some nats


def test_pairs_of_neighbours_are_read_where_there_are_many_examples(tagger, paired):
    assert not tagger.vocabulary.pairs
    assert {" to", "new york", "next week"} < paired.vocabulary.pairs.keys()
    ids = paired.vocabulary.pair_ids(["new", "york", "zagreb"])
    assert ids[0, 1] == ids[1, 0] == paired.vocabulary.pairs["new york"]
    assert ids[1, 1] == ids[2, 0] == ids[2, 1] == UNKNOWN
    assert paired.vocabulary.pair_ids([]).shape == (0, 2)


@pytest.mark.parametrize("which", ["tagger", "paired"])
def test_what_is_saved_finds_the_same(which, taught, tmp_path, request):
    tagger = request.getfixturevalue(which)
    tagger.save(tmp_path)
    text = "i want to go to la paz tomorrow , leaving new york"
    assert found_in(text, Tagger.load(tmp_path), taught) == found_in(text, tagger, taught)


@pytest.fixture(scope="module")
def tuning(tmp_path_factory):
    fitted = {}
    for name in ("bert", "mpnet"):
        folder = save_tiny(name, tmp_path_factory.mktemp(name))
        fitted[name] = BertEncoder(model=str(folder), runtime="torch", max_tokens=24).fit([])
    encoders = EncoderSet(fitted, dict.fromkeys(fitted, "bert"), None, to_tag(fitted))
    pairs = list(travel(30, 0))
    utterances, annotated = [tokenize(text) for text, _ in pairs], [entities for _, entities in pairs]
    tops = layers_to_tune(encoders)
    tagger = fit_tagger(utterances, annotated, encoders.see(utterances), [], tops, seed=0)
    return tagger, tops, encoders


def test_layers_of_every_pretrained_encoder_are_tuned_and_kept(tuning, tmp_path):
    tagger, tops, encoders = tuning
    assert list(tagger.layers) == list(tops) == ["bert", "mpnet"]
    utterance = tokenize("to quito from lima on friday")
    units = encoders.see([utterance])
    for name, layers in tagger.layers.items():
        assert len(tops[name].layers) == layers.config.layers == 3
        states = units.early[name].states[0][None].astype(np.float32)
        mask = np.ones(states.shape[:2], bool)
        moved = np.abs(layers.blocks(states, mask) - OnnxLayers.of(tops[name])(states, mask)).max()
        assert 0.01 < moved < 5
    tagger.save(tmp_path)
    assert find(Tagger.load(tmp_path), [utterance], units) == find(tagger, [utterance], units)


def test_the_tuned_layers_are_served_as_torch_reads_them_but_for_eight_bits(tuning):
    tagger, _, encoders = tuning
    utterances = [tokenize("to quito from lima on friday"), tokenize("good bye")]
    units = encoders.see(utterances)
    vocabulary = tagger.vocabulary
    served, layers = tagger.networks[1], tagger.layers["mpnet"]
    arrays = served.arrays
    network = Network(
        len(vocabulary.words), len(vocabulary.characters), 128, mark_count(()), 5, layers=Fusion(layers.config)
    ).eval()
    network.load_state_dict(
        {k: torch.from_numpy(v) for k, v in arrays.items() if k in network.state_dict()}, strict=False
    )
    tagger = replace(tagger, layers={"mpnet": Fused.of(network.layers.config, network.layers.arrays())})
    lessons, ours = [], []
    for i, utterance in enumerate(utterances):
        pieces = pieces_of(utterance)
        dense, seen = piece_vectors(units, i, pieces), marks(utterance.text, pieces, ())
        tuned = tagger.tune("mpnet", units, [i], [pieces])
        ours.append(emissions(vocabulary, served, [pieces], dense, seen, tuned))
        lessons.append(
            Lesson(
                [form(piece) for piece in pieces],
                (dense - arrays["mean"]) * arrays["scale"],
                seen,
                np.zeros(len(pieces), np.int64),
                units.early["mpnet"].states[i],
                shares(pieces, units.early["mpnet"].offsets[i]),
            )
        )
    with torch.inference_mode():
        theirs = network(collate(lessons, vocabulary)).numpy()
    for row, emission in enumerate(ours):
        assert np.allclose(theirs[row, : len(emission)], emission, atol=0.2)  # of some nats


def test_each_encoder_has_a_network_and_one_that_tunes_nothing_has_its_say_beside(tuning, monkeypatch, tmp_path):
    _, tops, encoders = tuning
    monkeypatch.setattr("dialogue.tagging.tagger.FEWEST_PAIRED", 20)
    pairs = list(travel(30, 0))
    utterances, annotated = [tokenize(text) for text, _ in pairs], [entities for _, entities in pairs]
    units, told_of = encoders.see(utterances), []
    tagger = fit_tagger(
        utterances, annotated, units, [], tops, seed=0, progress=lambda done, due: told_of.append((done, due))
    )
    assert [done for done, _ in told_of] == sorted(done for done, _ in told_of)
    assert told_of[-1] == (90, 90)  # thirty passes each
    pieces = [pieces_of(utterance) for utterance in utterances[:2]]
    inputs = (
        np.concatenate([piece_vectors(units, i, some) for i, some in enumerate(pieces)]),
        np.concatenate([marks(utterances[i].text, some, ()) for i, some in enumerate(pieces)]),
    )
    tuned = [tagger.tune(name, units, [0, 1], pieces) for name in tagger.layers]
    networks = tagger.networks
    assert ["tuned.weight" in network.arrays for network in networks] == [True, True, False]
    each = [
        emissions(tagger.vocabulary, network, pieces, *inputs, some)
        for network, some in zip(networks, [*tuned, None], strict=True)
    ]
    assert all(np.abs(one - other).max() > 0.1 for one, other in combinations(each, 2))
    assert np.allclose(mean_emissions(tagger.vocabulary, networks, pieces, *inputs, tuned), sum(each) / 3, atol=1e-5)
    tagger.save(tmp_path)
    assert find(Tagger.load(tmp_path), utterances, units) == find(tagger, utterances, units)


def test_the_potentials_between_tags_are_the_mean_of_two_networks():
    networks = [Network(3, 3, 4, 2, 5) for _ in range(2)]
    for value, network in enumerate(networks, start=1):
        torch.nn.init.constant_(network.transition, value)
    share_potentials(networks)
    assert (networks[0].transition == 1.5).all()


@pytest.mark.parametrize("damage", ["{", '{"labels": [["city", "", ""]]}'])
def test_a_damaged_file_is_named(tagger, tmp_path, damage):
    tagger.save(tmp_path)
    (tmp_path / "tagger.json").write_text(damage)
    with pytest.raises(ValueError, match=r"tagger\.json"):
        Tagger.load(tmp_path)


def test_labels_and_weights_must_fit(tagger, tmp_path):
    tagger.save(tmp_path)
    file = tmp_path / "tagger.json"
    file.write_text(file.read_text().replace('["city", "to", ""]', '["city", "to", ""], ["zoo", "", ""]'))
    with pytest.raises(ValueError, match="do not fit"):
        Tagger.load(tmp_path)


def test_the_same_seed_learns_the_same(tagger, taught):
    utterances, annotated, units, _ = taught
    again = fit_tagger(utterances, annotated, units, [("day", r"\b\w+day\b")], seed=0)
    assert all(np.array_equal(again.arrays[name], array) for name, array in tagger.arrays.items())


def test_without_annotations_nothing_is_learned(taught):
    utterances, _, units, _ = taught
    assert fit_tagger(utterances, [()] * len(utterances), units, [], seed=0) is None


def test_from_a_piece_of_a_word_alone_nothing_is_learned():
    utterances = [tokenize("at 10pm sharp"), tokenize("hello")]
    units = Units({"one": Seen(np.ones((4, 2), np.float32), np.array([0, 3, 4]), np.ones((2, 2), np.float32))}, None, 2)
    assert fit_tagger(utterances, [(Entity("time", 3, 4, "1", "gold"),), ()], units, [], seed=0) is None
    whole = fit_tagger(utterances, [(Entity("time", 3, 7, "10pm", "gold"),), ()], units, [], seed=0)
    assert [one.value for one in find(whole, utterances, units)[0]] == ["10pm"]


def test_texts_without_entities_do_not_drown_the_others():
    utterances = [tokenize("book it")] * 100 + [tokenize("")]
    annotated = [(Entity("thing", 5, 7, "it", "gold"),)] * 5 + [()] * 96
    rows = learned_from(utterances, annotated, seed=0)
    assert len(rows) == 5 + 6 * 5
    assert rows[:5] == [0, 1, 2, 3, 4]
    assert 100 not in rows


def test_each_pass_has_every_entity_and_other_texts_without_one():
    def lesson(tag: int) -> Lesson:
        return Lesson(["it"], np.zeros((1, 2), np.float16), np.zeros((1, 1), np.float32), np.array([tag]))

    marked, plain = [lesson(1) for _ in range(2)], [lesson(0) for _ in range(12)]
    passes = chosen([*plain, *marked], np.random.default_rng(0))
    first, second = ([id(one) for one in next(passes)] for _ in range(2))
    assert set(first) & set(second) == set(map(id, marked))
    assert len(set(first)) == len(set(second)) == 2 + 3 * 2


def test_early_states_are_averaged_over_the_subwords_of_each_piece():
    words = Seen(np.ones((3, 2), np.float32), np.array([0, 2, 3]), np.zeros((2, 2), np.float32))
    states = [np.array([[9, 9], [1, 2], [3, 4], [5, 6]], np.float16), np.array([[7, 8]], np.float16)]
    offsets = [np.array([[0, 0], [3, 4], [4, 6], [0, 0]]), np.array([[0, 3]])]  # the first word was cut off
    units = Units({"bert": words}, None, 2, {"bert": Early(states, offsets)})
    assert piece_vectors(units, 0, pieces_of(tokenize("hi you"))).tolist() == [[1, 1, 0, 0], [1, 1, 2, 3]]
    assert piece_vectors(units, 1, pieces_of(tokenize("one"))).tolist() == [[1, 1, 7, 8]]


def test_a_chinese_character_reads_every_subword_that_overlaps_it():
    pieces = pieces_of(tokenize("订星期五", "zh"))
    offsets = np.array([[0, 0], [0, 2], [2, 3], [2, 4]])  # one subword begins in the word before
    assert shares(pieces, offsets).tolist() == [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0.5, 0.5], [0, 0, 0, 1]]


def test_chinese_is_tagged_by_character_since_annotations_cut_words():
    utterance = tokenize("帮我订星期五早上的票", "zh")
    pieces = pieces_of(utterance)
    assert "".join(piece.text for piece in pieces) == utterance.text
    assert all(utterance.text[piece.start : piece.end] == piece.text for piece in pieces)
    annotated = (Entity("date", 3, 6, "星期五", "gold"), Entity("time", 6, 8, "早上", "gold"))
    labels = labels_of([annotated])
    assert labels == (Label("date"), Label("time"))
    tags = tags_of(pieces, annotated, labels)
    assert tags.tolist() == [0, 0, 0, first(0), inside(0), inside(0), first(1), inside(1), 0, 0]


def test_an_annotation_inside_a_latin_word_takes_the_word_if_it_is_most_of_it():
    pieces = pieces_of(tokenize("at 10pm sharp"))
    most, little = Entity("time", 3, 6, "10p", "gold"), Entity("time", 3, 4, "1", "gold")
    assert tags_of(pieces, (most,), (Label("time"),)).tolist() == [0, 1, 0]
    assert tags_of(pieces, (little,), (Label("time"),)).tolist() == [0, 0, 0]


def test_marks_tell_looks_places_and_patterns():
    pieces = pieces_of(tokenize("Go on Monday 12 KH-4821 , a@b.de"))
    seen = marks("Go on Monday 12 KH-4821 , a@b.de", pieces, compiled([("day", "mon.*?y 12")]))
    by_text = {piece.text: row.tolist() for piece, row in zip(pieces, seen, strict=True)}
    assert by_text["Go"][:6] == [1, 0, 0, 0, 0, 0]
    assert by_text["12"][:6] == [0, 0, 1, 0, 0, 0]
    assert by_text["KH-4821"][:6] == [1, 1, 0, 1, 0, 0]
    assert by_text[","][:6] == [0, 0, 0, 0, 1, 0]
    assert by_text["a@b.de"][5] == 1
    assert by_text["Monday"][-2:] == [1, 1]
    assert by_text["12"][-2:] == [0, 1]


def test_what_was_learned_wins_over_a_table_on_the_same_stretch_and_synonyms_map_both():
    tables = EntityTables(lookups={"place": ("Rome", "New Rome Road")}, synonyms={"rome": "Roma"})
    learned = (Entity("city", 3, 7, "Rome", "tagger", 0.9, "to"),)
    (entity,) = find_entities(tokenize("to Rome now"), tables, learned)
    assert (entity.entity, entity.value, entity.role, entity.confidence) == ("city", "Roma", "to", 0.9)
    longer = (Entity("city", 7, 11, "Rome", "tagger", 0.9),)
    (entity,) = find_entities(tokenize("to New Rome Road"), tables, longer)
    assert (entity.entity, entity.value) == ("place", "New Rome Road")
