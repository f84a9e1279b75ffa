"""The model folder: whole versions only, damage is named, nothing of others is removed."""

import json
import os
import time

import pytest

from dialogue.errors import ModelError
from dialogue.training.folder import CURRENT, FORMAT, MANIFEST, Manifest, current_version, read_manifest, write_version

MANIFEST_OF = Manifest("print", {"name": "nova"})


def parts(place, text="numbers"):
    (place / "nlu").mkdir()
    (place / "nlu" / "weights").write_text(text)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "deep" / "model"


def test_a_version_is_written_whole_and_becomes_the_current_one(root):
    assert current_version(root) is None
    version = write_version(root, MANIFEST_OF, parts)
    assert current_version(root) == version
    assert read_manifest(version) == MANIFEST_OF
    assert sorted(path.name for path in root.iterdir()) == sorted([version.name, CURRENT])


def test_the_version_before_is_kept_and_older_ones_are_not(root):
    versions = []
    for second in range(4):
        versions.append(write_version(root, MANIFEST_OF, parts))
        versions[-1] = versions[-1].rename(root / f"20260101-00000{second}-abcdef") if second < 3 else versions[-1]
    assert [version.exists() for version in versions] == [False, False, True, True]


@pytest.mark.parametrize("problem", [RuntimeError("no"), KeyboardInterrupt(), SystemExit(1)])
def test_what_fails_leaves_everything_as_it_was(root, problem):
    before = write_version(root, MANIFEST_OF, parts)

    def fails(place):
        parts(place)
        raise problem

    with pytest.raises(type(problem)):
        write_version(root, MANIFEST_OF, fails)
    assert current_version(root) == before
    assert sorted(path.name for path in root.iterdir()) == sorted([before.name, CURRENT])


def test_a_full_disk_is_a_sentence(root):
    def fails(place):
        raise OSError(28, "No space left on device")

    with pytest.raises(ModelError, match=r"cannot be written into .*model.*No space left on device"):
        write_version(root, MANIFEST_OF, fails)
    assert list(root.iterdir()) == []


def test_a_file_where_the_folder_should_be_is_a_sentence(tmp_path):
    (tmp_path / "model").write_text("")
    with pytest.raises(ModelError, match="cannot be written"):
        write_version(tmp_path / "model", MANIFEST_OF, parts)
    with pytest.raises(ModelError, match="cannot be read"):
        current_version(tmp_path / "model")


def test_who_may_read_the_manifest_may_read_the_rest(root):
    def private(place):
        parts(place)
        (place / "nlu" / "weights").chmod(0o600)

    version = write_version(root, MANIFEST_OF, private)
    assert (version / "nlu" / "weights").stat().st_mode == (version / MANIFEST).stat().st_mode


def test_drafts_of_killed_trainings_go_and_those_under_way_stay(root):
    root.mkdir(parents=True)
    for name, hours in ((".draft-old", 2), (".draft-new", 0)):
        (root / name).mkdir()
        os.utime(root / name, times=(time.time() - hours * 3600,) * 2)
    write_version(root, MANIFEST_OF, parts)
    assert [path.name for path in root.glob(".draft-*")] == [".draft-new"]


def test_folders_of_others_are_not_removed(root):
    (root / "my-extension").mkdir(parents=True)
    (root / "my-extension" / MANIFEST).write_text("{}")
    for _ in range(4):
        write_version(root, MANIFEST_OF, parts)
    assert (root / "my-extension" / MANIFEST).exists()


@pytest.mark.parametrize("content", [b"../../etc", b"latest", b"", b"\xff\xfe"])
def test_a_foreign_folder_is_refused(root, content):
    root.mkdir(parents=True)
    (root / CURRENT).write_bytes(content)
    with pytest.raises(ModelError, match=r"current.*model:|model.*current"):
        current_version(root)


def shorten(version):
    (version / "nlu" / "weights").write_text("numb")


def change(version):
    (version / "nlu" / "weights").write_text("lumbers")


def remove(version):
    (version / "nlu" / "weights").unlink()


def unseal(version):
    (version / MANIFEST).unlink()


def garble(version):
    (version / MANIFEST).write_text('{"format": 1, "fil')


def empty(version):
    (version / MANIFEST).write_text("[]")


def of_tomorrow(version):
    content = json.loads((version / MANIFEST).read_text())
    (version / MANIFEST).write_text(json.dumps({**content, "format": 99}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (shorten, r"weights is missing or damaged; `starfold train --force`"),
        (change, r"weights is missing or damaged"),
        (remove, r"weights is missing or damaged"),
        (unseal, r"is not a starfold model .*`starfold train` makes one"),
        (garble, r"is not a starfold model"),
        (empty, r"is not a starfold model"),
        (of_tomorrow, rf"has model format 99, this starfold reads {FORMAT}; train again"),
    ],
)
def test_damage_is_named_in_one_sentence(root, damage, said):
    version = write_version(root, MANIFEST_OF, parts)
    damage(version)
    with pytest.raises(ModelError, match=said) as refusal:
        read_manifest(version)
    assert "\n" not in str(refusal.value)
    assert refusal.value.exit_code == 5
