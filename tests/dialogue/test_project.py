"""A project folder: when its model is fresh, what teaching changes, what two trainings do to each other."""

import json
import shutil
import threading
from contextlib import closing
from pathlib import Path

import pytest

import dialogue
from dialogue.config_file import load_config
from dialogue.errors import ModelError, ProjectError, TrainingError
from dialogue.message import Message
from dialogue.project import TAUGHT, is_fresh, open_bot, read, teach, train
from dialogue.training.data import read_data
from dialogue.training.folder import current_version, read_manifest
from tests.dialogue.small import write_small

NEW = "hold your horses"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = write_small(tmp_path_factory.mktemp("small") / "bot")
    train(folder)
    return folder


@pytest.fixture
def project(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "bot"))


def version_of(project):
    return current_version(load_config(project).model_path)


def mean(project, text, intent):
    """Posterior mean of an intent by the model on disk."""
    model, _, _ = read(load_config(project), version_of(project))
    return next(candidate.mean for candidate in model.parse(text).intents if candidate.name == intent)


def edit(file, old, new):
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def test_a_new_project_has_no_fresh_model(tmp_path):
    project = write_small(tmp_path / "bot")
    assert not is_fresh(project)
    summary = train(project)
    assert is_fresh(project)
    assert (summary.fresh, summary.examples, summary.intents) == (False, 20, 4)
    assert summary.folder == version_of(project)
    assert "20 examples of 4 intents" in summary.lines[0]


def test_a_fresh_model_is_not_trained_again_but_by_force(project):
    version = version_of(project)
    summary = train(project)
    assert summary.fresh
    assert summary.lines == (f"The model in {version} is up to date.",)
    assert version_of(project) == version
    assert train(project, force=True).folder == version_of(project) != version


def test_training_reports_its_stages(project):
    stages = []
    train(project, force=True, progress=lambda stage, done, total: stages.append(stage))
    assert len(set(stages)) > 1


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("bot.yml", "name: small", "name: smaller"),
        ("data/all.yml", "good morning", "good evening"),
        ("data/all.yml", "Sunny.", "Cloudy."),
    ],
)
def test_a_change_of_bot_or_data_makes_the_model_stale(project, file, old, new):
    edit(project / file, old, new)
    assert not is_fresh(project)
    assert not train(project).fresh
    assert is_fresh(project)


def test_so_does_a_new_file_of_data(project):
    (project / "data" / "more.yml").write_text('nlu: [{intent: greet, examples: "- ahoy\\n"}]', "utf-8")
    assert not is_fresh(project)
    assert train(project).examples == 21


def test_so_does_another_version_of_starfold(project, monkeypatch):
    monkeypatch.setattr(dialogue, "__version__", "99.0")
    assert not is_fresh(project)


def test_actions_and_the_place_of_the_project_do_not(project, tmp_path):
    edit(project / "actions.py", "Waiting.", "One moment.")
    assert is_fresh(project)
    assert is_fresh(project.rename(tmp_path / "elsewhere"))


def test_the_same_data_and_seed_give_the_same_model(project):
    first = mean(project, "hello you", "greet")
    train(project, force=True)
    assert mean(project, "hello you", "greet") == first


def test_the_bot_that_is_opened_answers_and_is_trained_when_need_be(project):
    edit(project / "data" / "all.yml", "Sunny.", "Cloudy.")
    with closing(open_bot(project)) as bot:
        assert (bot.name, bot.language) == ("small", "en")
        assert bot.intents == ("greet", "goodbye", "weather", "wait")
        (reply,) = bot.handle(Message("how is the weather")).replies
    assert reply.text == "Cloudy."
    assert is_fresh(project)


def test_a_bot_without_actions_of_its_own(project):
    edit(project / "bot.yml", "actions: actions.py\n", "")
    with closing(open_bot(project)) as bot:
        assert bot.handle(Message("hello")).replies[0].text == "Hello!"


def test_actions_that_are_not_there_are_named(project):
    (project / "actions.py").unlink()
    with pytest.raises(ProjectError, match=r"bot\.yml:4:1: actions: there is no file .*actions\.py"):
        open_bot(project)


def test_a_project_with_mistakes_is_not_trained(project):
    version = version_of(project)
    edit(project / "data" / "all.yml", "{action: utter_weather}", "{action: utter_wether}")
    with pytest.raises(ProjectError, match=r"all\.yml:\d+:\d+: .*utter_wether.*utter_weather"):
        train(project)
    assert version_of(project) == version


def test_what_contradicts_itself_is_learned_both_ways(project):
    (project / "data" / "more.yml").write_text('nlu: [{intent: wait, examples: "- Hello\\n"}]', "utf-8")
    summary = train(project)
    assert summary.examples == 21
    assert summary.lines[-1] == "1 warning: `starfold validate` lists them."
    assert mean(project, "hello", "greet") > 0.2
    assert mean(project, "hello", "wait") > 0.2


def test_nothing_to_learn_from(project):
    (project / "data" / "all.yml").write_text('version: "3.1"\n', "utf-8")
    with pytest.raises(ProjectError, match="declares no intents"):
        train(project)


def test_teaching_raises_the_intent_and_is_written_down(project):
    version, before = version_of(project), mean(project, NEW, "wait")
    teach(project, NEW, "wait")
    assert version_of(project) != version
    assert mean(project, NEW, "wait") > max(before, 0.5)
    taught = read_data([project / "data" / TAUGHT]).examples
    assert [(example.text, example.intent) for example in taught] == [(NEW, "wait")]


def test_what_was_taught_needs_no_training_and_outlives_one(project):
    teach(project, NEW, "wait")
    assert is_fresh(project)
    taught = mean(project, NEW, "wait")
    assert train(project, force=True).examples == 21
    assert mean(project, NEW, "wait") == pytest.approx(taught, abs=0.2)


def test_a_stale_project_stays_stale_when_it_is_taught(project):
    edit(project / "data" / "all.yml", "good morning", "good evening")
    before = mean(project, NEW, "wait")
    teach(project, NEW, "wait")
    assert mean(project, NEW, "wait") > before
    assert not is_fresh(project)
    assert train(project).examples == 21


@pytest.mark.parametrize(
    ("text", "intent", "said"),
    [
        (NEW, "wiat", "no intent 'wiat' to teach; did you mean 'wait'"),
        (NEW, "zzz", "expected one of goodbye, greet, wait, weather"),
        ("  ", "wait", "a blank text teaches nothing"),
        ("to [Oslo](city)", "wait", "entity annotation"),
        ("Good  Morning", "wait", r"is an example of 'greet', in .*all\.yml:\d+:\d+; change it there"),
    ],
)
def test_what_cannot_be_taught_changes_nothing(project, text, intent, said):
    version = version_of(project)
    with pytest.raises(TrainingError, match=said):
        teach(project, text, intent)
    assert version_of(project) == version
    assert not (project / "data" / TAUGHT).exists()
    assert is_fresh(project)


def test_an_untrained_bot_cannot_be_taught(tmp_path):
    with pytest.raises(ModelError, match="`starfold train` makes one"):
        teach(write_small(tmp_path / "bot"), NEW, "wait")


def test_odd_texts_are_taught_as_they_are(project):
    for text in ('say "hi"', "a: b # c", "- 早上好 🪐", "back\\slash", "two\nlines", "'"):
        teach(project, text, "greet")
    found = [example.text for example in read_data([project / "data" / TAUGHT]).examples]
    assert found == ['say "hi"', "a: b # c", "- 早上好 🪐", "back\\slash", "two\nlines", "'"]
    assert is_fresh(project)


def test_two_trainings_at_once_both_leave_a_whole_model(project):
    done, problems = [], []

    def work():
        try:
            done.append(train(project, force=True).folder)
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert version_of(project) in done
    assert is_fresh(project)
    assert mean(project, "hello", "greet") > 0.9


def test_a_damaged_part_is_named(project):
    version = version_of(project)
    manifest = json.loads((version / "manifest.json").read_text())
    (version / "nlu" / "model.json").write_text("{}")
    del manifest["files"]["nlu/model.json"]
    (version / "manifest.json").write_text(json.dumps(manifest))
    assert read_manifest(version).fingerprint
    with pytest.raises(ModelError, match=r"model\.json .*train again"):
        open_bot(project)
