"""`test nlu`: which numbers there are, from which files, and what counts as out of scope."""

import json

import pytest

from dialogue.channels.jsonl import dumps
from dialogue.errors import ProjectError, TrainingError
from dialogue.project import peak_mb
from dialogue.training.evaluate import entity_ece, evaluate_nlu, measure_nlu
from policies.types import Entity

PROMISED = {
    *("accuracy", "macro_f1", "nll", "ece", "ece_all", "oos_auroc", "oos_aupr", "oos_fpr95", "threshold"),
    *("in_scope_accuracy_at_threshold", "oos_recall_at_threshold", "aurc", "coverage_at_2pct_error"),
    *("train_cpu_seconds", "train_wall_seconds", "peak_mb", "ms_per_message_p50", "ms_per_message_p95"),
    *("train_size", "classes", "seed"),
}
TRAIN = {
    "greet": ["hello", "hello there", "hi", "hi there", "good morning", "good day"],
    "bye": ["bye", "goodbye", "see you", "see you later", "bye bye", "farewell"],
    "rain": ["will it rain", "rain today", "is it raining", "weather today", "how is the weather", "any rain"],
    "wait": ["wait", "please wait", "wait a moment", "hold on", "hang on a moment", "one moment"],
}
TEST = [("hello you", "greet"), ("bye now", "bye"), ("rain tomorrow", "rain"), ("wait please", "wait")]
OUTSIDE = [("sell my car", "cars"), ("xyzzy qwerty", "noise"), ("", "nothing")]


def write(file, pairs):
    """Sentences in the kind of file the suffix tells."""
    if file.suffix == ".jsonl":
        text = "".join(json.dumps({"text": text, "intent": intent}) + "\n" for text, intent in pairs)
    elif file.suffix == ".csv":
        text = "text,intent\n" + "".join(f'"{text}",{intent}\n' for text, intent in pairs)
    else:
        names = dict.fromkeys(intent for _, intent in pairs)
        told = {name: "".join(f"- {text}\n" for text, intent in pairs if intent == name) for name in names}
        nlu = [{"intent": name, "examples": examples} for name, examples in told.items()]
        text = json.dumps({"version": "3.1", "intents": list(names), "nlu": nlu})
    file.write_text(text, "utf-8")
    return file


def taught(names=tuple(TRAIN)):
    return [(text, name) for name in names for text in TRAIN[name]]


@pytest.fixture
def files(tmp_path):
    """A project with one small encoder, and the files to measure it with."""
    (tmp_path / "bot.yml").write_text('version: "1"\ndata: [.]\nencoders: {words: onehot}\nseed: 3\n', "utf-8")
    return {
        "project": tmp_path,
        "train": write(tmp_path / "train.jsonl", taught()),
        "test": write(tmp_path / "test.jsonl", TEST),
        "oos": write(tmp_path / "oos.jsonl", OUTSIDE),
    }


def test_all_promised_numbers_are_there_and_are_json(files):
    found = evaluate_nlu(**files)
    assert set(found) >= PROMISED
    assert json.loads(dumps(dict(found))) == found
    assert all(isinstance(found[name], (int, float)) for name in PROMISED)
    assert (found["train_size"], found["classes"], found["seed"]) == (24, 4, 3)
    assert 0 < found["ms_per_message_p50"] <= found["ms_per_message_p95"]
    assert 0 < found["peak_mb"] <= peak_mb()
    shares = ["accuracy", "macro_f1", "ece", "ece_all", "oos_auroc", "oos_aupr", "oos_fpr95", "aurc", "threshold"]
    assert all(0 <= found[name] <= 1 for name in shares)
    assert found["accuracy"] == found["macro_f1"] == 1.0
    assert found["oos_auroc"] == 1.0


def test_the_kind_of_file_makes_no_difference(files, tmp_path):
    first = evaluate_nlu(**files)
    for suffix in ("csv", "yml"):
        files |= {
            "train": write(tmp_path / f"train.{suffix}", taught()),
            "test": write(tmp_path / f"test.{suffix}", TEST),
        }
        found = evaluate_nlu(**files)
        assert {name: found[name] for name in ("accuracy", "nll", "ece", "oos_auroc", "threshold")} == {
            name: pytest.approx(first[name]) for name in ("accuracy", "nll", "ece", "oos_auroc", "threshold")
        }


def test_a_label_that_was_not_trained_is_out_of_scope(files, tmp_path):
    apart = evaluate_nlu(**files)
    mixed = write(tmp_path / "mixed.jsonl", TEST + OUTSIDE)
    together = evaluate_nlu(**files | {"test": mixed, "oos": None})
    timed = {"train_cpu_seconds", "train_wall_seconds", "peak_mb", "ms_per_message_p50", "ms_per_message_p95"}
    assert {name: apart[name] for name in PROMISED - timed} == {name: together[name] for name in PROMISED - timed}


def test_what_is_out_of_scope_is_so_whatever_its_label(files, tmp_path):
    labelled = write(tmp_path / "labelled.jsonl", [(text, "greet") for text, _ in OUTSIDE])
    assert evaluate_nlu(**files | {"oos": labelled})["oos_auroc"] == 1.0


def test_to_take_what_is_out_of_scope_for_the_intent_out_of_scope_is_right(files, tmp_path):
    other = [("buy a car", "out_of_scope"), ("sell a car", "out_of_scope"), ("rent a car", "out_of_scope")]
    train = write(tmp_path / "train.jsonl", taught() + other)
    outside = write(tmp_path / "oos.jsonl", [("sell my car", "cars"), ("hello there hello", "noise")])
    scored = measure_nlu(**files | {"train": train, "oos": outside}).scored
    assert scored.right[-2:].tolist() == [True, False]
    assert scored.none[-2] > 0.8 > scored.predictive.unknown[-2]
    assert evaluate_nlu(**files | {"train": train, "oos": outside})["oos_recall_at_threshold"] >= 0.5


def test_a_measurement_says_where_the_time_went(files):
    measured = measure_nlu(**files)
    assert set(measured.training) == {"encoders", "look", "weigh"}
    assert sum(measured.training.values()) == pytest.approx(measured.numbers["train_wall_seconds"], abs=0.3)
    assert set(measured.answering) == {"words", "fusion", "posterior", "entities"}
    assert sum(measured.answering.values()) < 2 * measured.numbers["ms_per_message_p50"]


def test_without_anything_out_of_scope_its_numbers_are_missing(files):
    found = evaluate_nlu(**files | {"oos": None})
    missing = {name for name, value in found.items() if value is None}
    entities = {"slot_f1", "slot_ece", "sentence_accuracy"}
    assert missing == {"oos_auroc", "oos_aupr", "oos_fpr95", "oos_recall_at_threshold"} | entities


def tagged(words, tags, intent):
    return json.dumps({"text": words, "intent": intent, "tokens": words.split(), "tags": tags.split()}) + "\n"


def test_entities_are_measured_by_whole_spans_and_whole_sentences(files, tmp_path):
    cities = [f"{a}{b}" for a in ("ro", "pa", "os", "li", "be") for b in ("me", "ris", "lo", "ma")]
    train = [tagged(f"fly to {one}", "O O B-city", "fly") for one in cities]
    train += [tagged(f"stay in new {one} now", "O O B-city I-city O", "stay") for one in cities]
    train += [tagged(text, " ".join("O" * len(text.split())), "greet") for text in ("hello", "hi there", "good day")]
    (tmp_path / "marked.jsonl").write_text("".join(train))
    test = [tagged("fly to home", "O O B-city", "fly"), tagged("stay in new rome now", "O O B-city I-city O", "stay")]
    test += [tagged("hello", "B-city", "greet")]  # which no example says
    (tmp_path / "asked.jsonl").write_text("".join(test))
    found = evaluate_nlu(project=files["project"], train=tmp_path / "marked.jsonl", test=tmp_path / "asked.jsonl")
    assert found["slot_f1"] == pytest.approx(2 * 2 / (2 + 3))
    assert found["sentence_accuracy"] == pytest.approx(2 / 3)
    assert 0 < found["slot_ece"] < 0.5


def test_confidences_of_entities_are_held_against_how_often_they_are_right():
    sure, doubtful, table = (Entity("city", at, at + 2, "x", "x", p) for at, p in ((0, 0.9), (3, 0.5), (6, None)))
    truth = [frozenset({("city", 0, 2)}), frozenset()]
    assert entity_ece([[sure], [doubtful, table]], truth) == pytest.approx((0.1 + 0.5) / 2)
    assert entity_ece([[table], []], truth) is None


def test_the_threshold_is_tuned_where_one_says(files, tmp_path):
    valid = write(tmp_path / "valid.jsonl", [("hello", "greet"), ("bye", "bye")])
    hard = write(tmp_path / "hard.jsonl", [("hello moment", "x"), ("see the rain", "x")])
    by_valid = evaluate_nlu(**files, valid=valid)
    by_both = evaluate_nlu(**files, valid=valid, valid_oos=hard)
    assert by_both["threshold"] > 0.9
    assert len({evaluate_nlu(**files)["threshold"], by_valid["threshold"], by_both["threshold"]}) > 1


def test_features_may_be_kept_in_a_cache(files, tmp_path):
    first = evaluate_nlu(**files, cache=tmp_path / "cache")
    again = evaluate_nlu(**files, cache=tmp_path / "cache")
    assert again["nll"] == pytest.approx(first["nll"])


def test_a_folder_without_a_bot_has_the_defaults(files, tmp_path, monkeypatch):
    from dialogue.training import evaluate

    seen = []
    train_model = evaluate.train_model
    small = evaluate.load_config(tmp_path)
    monkeypatch.setattr(
        evaluate, "train_model", lambda config, corpus, _: seen.append(config) or train_model(small, corpus)
    )
    (tmp_path / "elsewhere").mkdir()
    evaluate_nlu(**files | {"project": tmp_path / "elsewhere"})
    assert list(seen[0].encoders) == ["words", "word2vec", "fasttext", "gru", "bert"]


def test_one_intent_is_enough_to_be_measured(files, tmp_path):
    one = write(tmp_path / "one.jsonl", taught(["greet"]))
    found = evaluate_nlu(**files | {"train": one, "test": write(tmp_path / "greet.jsonl", TEST[:1])})
    assert (found["classes"], found["accuracy"]) == (1, 1.0)
    json.dumps(found, allow_nan=False)


def test_nothing_in_scope_is_refused(files):
    with pytest.raises(TrainingError, match=r"no message of .*oos\.jsonl has an intent of .*train\.jsonl"):
        evaluate_nlu(**files | {"test": files["oos"]})


def test_a_file_that_cannot_be_read_is_refused(files, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"text": "hi"}\n', "utf-8")
    with pytest.raises(ProjectError, match=r"bad\.jsonl:1:1: .*intent is missing"):
        evaluate_nlu(**files | {"train": tmp_path / "bad.jsonl"})
