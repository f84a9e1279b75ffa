"""Real processes that are killed, share a conversation, or find their files damaged, full or read-only."""

import json
import os
import resource
import shutil
import signal
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from dialogue.errors import ModelError
from dialogue.events import UserUttered
from dialogue.project import is_fresh, train
from dialogue.store.sql import SqlTrackerStore
from dialogue.training.folder import CURRENT, FORMAT, current_version
from tests.dialogue.small import command, write_small

PATIENCE = 100  # seconds; a loaded machine is slow
HUMBLED = ("setpriv", "--inh-caps=-all", "--bounding-set=-dac_override")  # what is read-only is so for root, too
ANSWERS = {"hello": ("utter_greet", "Hello!"), "bye": ("utter_goodbye", "Bye.")}
SLOW_SAVE = """
import signal
import time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it ignored
from dialogue.model import Model
def save(self, folder):
    (folder / "half").write_text("half")
    Path({marker!r}).touch()
    time.sleep(60)
Model.save = save
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = write_small(tmp_path_factory.mktemp("small") / "bot")
    train(folder)
    return folder


@pytest.fixture
def project(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "bot"))


def model_of(project):
    return project / ".starfold" / "model"


def stored(project, sender):
    store = SqlTrackerStore(f"sqlite:///{project / '.starfold' / 'conversations.db'}")
    with closing(store):
        return store.events(sender)


def finish(process, text=""):
    out, err = process.communicate(text.encode(), timeout=PATIENCE)
    return process.returncode, [json.loads(line) for line in out.decode().splitlines()], err.decode()


def wait_for(file, process):
    deadline = time.monotonic() + PATIENCE
    while not file.exists():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline, f"{file} did not appear"
        time.sleep(0.02)


def refused(process, code):
    """The one sentence with which a process ends."""
    status, out, err = finish(process)
    lines = err.splitlines()
    assert (status, out, len(lines)) == (code, [], 1), err
    return lines[0]


def test_killed_in_the_middle_of_a_turn(project):
    first = command("chat", "-p", project, "--sender", "ann")
    first.stdin.write(b"hello\n")
    first.stdin.flush()
    acknowledged = json.loads(first.stdout.readline())
    assert acknowledged["replies"] == [{"text": "Hello!"}]
    first.stdin.write(b"hold on\n")
    first.stdin.flush()
    wait_for(project / "waiting", first)
    first.kill()
    first.communicate()
    assert [event.text for event in stored(project, "ann") if isinstance(event, UserUttered)] == ["hello"]
    assert stored(project, "ann")[-1].name == "action_listen"

    status, answers, err = finish(command("chat", "-p", project, "--sender", "ann"), "bye\n")
    assert (status, err) == (0, "")
    assert [answer["replies"] for answer in answers] == [[{"text": "Bye."}]]
    events = stored(project, "ann")
    assert [event.text for event in events if isinstance(event, UserUttered)] == ["hello", "bye"]
    assert sum(event.wire == "session_started" for event in events) == 1


def test_two_processes_on_one_conversation(project):
    said = {"hello": 8, "bye": 8}
    processes = [command("chat", "-p", project, "--sender", "ann") for _ in said]
    for process, (word, count) in zip(processes, said.items(), strict=True):
        process.stdin.write(f"{word}\n".encode() * count)
        process.stdin.flush()
    for process, (word, count) in zip(processes, said.items(), strict=True):
        status, answers, err = finish(process)
        assert (status, err) == (0, "")
        assert [answer["text"] for answer in answers] == [word] * count
        assert all(answer["replies"] for answer in answers)
    events = stored(project, "ann")
    turns = [index for index, event in enumerate(events) if isinstance(event, UserUttered)]
    assert Counter(events[index].text for index in turns) == said
    for index in turns:
        action, bot, listen = events[index + 1 : index + 4]
        assert (action.name, bot.text) == ANSWERS[events[index].text]
        assert listen.name == "action_listen"


@pytest.mark.parametrize(("how", "before"), [(signal.SIGKILL, True), (signal.SIGKILL, False), (signal.SIGINT, True)])
def test_killed_while_the_model_is_written(project, tmp_path, how, before):
    if not before:
        shutil.rmtree(model_of(project))
    version = current_version(model_of(project))
    marker = tmp_path / "saving"
    training = command("train", "--force", "-p", project, before=SLOW_SAVE.format(marker=str(marker)))
    wait_for(marker, training)
    training.send_signal(how)
    out, _ = training.communicate(timeout=PATIENCE)
    assert out == b""
    assert current_version(model_of(project)) == version
    if before:
        assert is_fresh(project)
    drafts = list(model_of(project).glob(".draft-*"))
    assert [draft.name for draft in model_of(project).iterdir() if draft not in drafts and draft != version] == (
        [CURRENT] if before else []
    )
    if how is signal.SIGINT:
        assert training.returncode == 130
        assert drafts == []


def damage_weights(project):
    (version,) = [current_version(model_of(project))]
    weights = next(version.rglob("process.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-100])


def damage_encoder(project):
    next(current_version(model_of(project)).rglob("onehot.json")).unlink()


def of_tomorrow(project):
    manifest = current_version(model_of(project)) / "manifest.json"
    manifest.write_text(manifest.read_text().replace(f'"format": {FORMAT}', '"format": 99'))


def gone(project):
    shutil.rmtree(current_version(model_of(project)))


@pytest.mark.parametrize("damage", [damage_weights, damage_encoder, of_tomorrow, gone])
def test_a_damaged_model_is_trained_anew(project, damage):
    version = current_version(model_of(project))
    damage(project)
    with pytest.raises(ModelError):
        is_fresh(project)
    assert not train(project).fresh
    assert current_version(model_of(project)) != version
    assert is_fresh(project)


def test_a_damaged_model_is_trained_anew_by_the_chat(project):
    damage_weights(project)
    status, answers, err = finish(command("chat", "-p", project), "hello\n")
    assert (status, err) == (0, "")
    assert answers[0]["replies"] == [{"text": "Hello!"}]


def test_a_foreign_model_folder_is_refused(project):
    (model_of(project) / CURRENT).write_text("release-7")
    said = refused(command("chat", "-p", project), ModelError.exit_code)
    assert "is not a starfold model" in said
    assert "`model:` in bot.yml" in said


def test_a_project_that_is_not_there_is_refused(tmp_path):
    assert "bot.yml" in refused(command("chat", "-p", tmp_path / "nowhere"), 3)


def test_a_full_disk_is_refused_and_the_model_before_stays(project):
    version = current_version(model_of(project))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(ModelError, match="cannot be written into"):
            train(project, force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert current_version(model_of(project)) == version
    assert is_fresh(project)
    assert list(model_of(project).glob(".draft-*")) == []


@pytest.mark.parametrize(
    ("has_model", "code", "said"), [(True, 6, "conversations.db"), (False, 5, "cannot be written")]
)
def test_a_read_only_project_is_refused(project, has_model, code, said):
    if os.geteuid() == 0 and shutil.which(HUMBLED[0]) is None:
        pytest.skip(f"the superuser writes everywhere, and there is no {HUMBLED[0]}")
    if not has_model:
        shutil.rmtree(model_of(project))
    for folder in (project / ".starfold", project):
        folder.chmod(0o555)
    assert said in refused(command("chat", "-p", project, by=HUMBLED if os.geteuid() == 0 else ()), code)
