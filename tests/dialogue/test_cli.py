import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from dialogue import __version__
from dialogue.cli import app
from dialogue.errors import ModelError, ProjectError, StoreError, Where, error, warning
from tests.dialogue.chatting import FakeBot

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "transformers", "sqlalchemy", "pydantic", "prompt_toolkit", "numpy", "rich", "gensim", "rasa_sdk"}


def run(*arguments, **options):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


@pytest.fixture
def bot(monkeypatch):
    """A bot that every project opens; `opened` and `trained` record how."""
    bot = FakeBot()
    bot.opened, bot.trained, bot.failure = [], [], None

    def open_bot(project, *, progress=None, retrain=False):
        bot.opened.append((project, retrain))
        progress("encode", 1, 2)
        if bot.failure is not None:
            raise bot.failure
        return bot

    def train(project, *, force, progress):
        bot.trained.append((project, force))
        progress("tune", 1, 0)
        return SimpleNamespace(lines=("trained 10 examples of 2 intents", "1.5 CPU-s, 300 MB"))

    fake = types.ModuleType("dialogue.project")
    fake.open_bot, fake.train, fake.teach = open_bot, train, lambda *_: None
    monkeypatch.setitem(sys.modules, "dialogue.project", fake)
    return bot


def process(code, *arguments, **options):
    """A real `starfold` process, with `code` run before it."""
    program = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}\nfrom dialogue.cli import main\nmain()\n"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], **(pipes | options))


FAKE_PROJECT = """
import types
from tests.dialogue.chatting import FakeBot
fake = types.ModuleType("dialogue.project")
fake.open_bot = lambda project, *, progress=None, retrain=False: FakeBot()
fake.teach = None
sys.modules["dialogue.project"] = fake
"""


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(flag):
    report = "import atexit\natexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr))"
    out, err = process(report, flag).communicate(timeout=60)
    assert b"Usage: starfold" in out if flag == "--help" else out.decode() == f"starfold {__version__}\n"
    loaded = {name.partition(".")[0] for name in err.decode().split("LOADED")[1].split()}
    assert not loaded & HEAVY


def test_help_is_quick():
    # Processor time of the child, best of three: other work on the machine counts for nothing.
    def seconds():
        before = os.times()
        process("", "--help").communicate(timeout=60)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(seconds() for _ in range(3)) <= 0.4


def test_help_names_every_command():
    shown = run("--help").stdout
    for command in ("init", "train", "chat", "parse", "validate", "doctor", "test"):
        assert re.search(rf"^  {command} ", shown, re.MULTILINE)
        assert run(command, "--help").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [("--project", "p", "parse", "x"), ("parse", "x", "--project", "p"), ("-p", "q", "parse", "-p", "p", "x")],
)
def test_project_is_taken_before_or_after_the_command(bot, arguments):
    assert run(*arguments).exit_code == 0
    assert bot.opened == [(Path("p"), False)]


def test_project_is_here_when_not_given(bot):
    run("parse", "x")
    assert bot.opened == [(Path(), False)]


def test_an_unknown_command_is_a_usage_error():
    result = run("chatt")
    assert result.exit_code == 2
    assert "chat" in result.stderr


def test_parse_prints_one_json_object(bot):
    result = run("parse", "什么时候 open?")
    assert json.loads(result.stdout)["text"] == "什么时候 open?"
    assert "什么时候" in result.stdout
    assert result.stderr == ""


def test_parse_refuses_what_is_no_text(bot):
    result = run("parse", "caf\udce9")
    assert result.exit_code == 2
    assert "not valid text" in result.stderr


def test_train_prints_its_summary(bot):
    result = run("train", "--project", "p", "--force")
    assert result.stdout == "trained 10 examples of 2 intents\n1.5 CPU-s, 300 MB\n"
    assert bot.trained == [(Path("p"), True)]


def test_a_pipe_gets_a_json_line_for_each_line(bot):
    result = run("chat", "--sender", "ada", "--retrain", input="a\n\n好")
    assert [json.loads(line)["text"] for line in result.stdout.splitlines()] == ["a", "", "好"]
    assert {message.sender for message in bot.heard} == {"ada"}
    assert bot.opened == [(Path(), True)]
    assert bot.closed


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_empty_ones(closed):
    code = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{FAKE_PROJECT}\nfrom dialogue.cli import main\nmain()\n"
    line = f'"$0" -c "$1" chat {closed}'
    done = subprocess.run(["bash", "-c", line, sys.executable, code], input=b"", capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr


def test_a_chat_is_a_new_conversation_unless_told_otherwise(bot):
    run("chat", input="a\nb\n")
    run("chat", input="c\n")
    first, second, third = (message.sender for message in bot.heard)
    assert first == second != third


def test_debug_explains_a_pipe_on_standard_error(bot):
    result = run("chat", "--debug", input="a\n")
    assert len(result.stdout.splitlines()) == 1
    assert "rule 'say when open'" in result.stderr


@pytest.mark.parametrize(
    ("failure", "code", "shown"),
    [
        (ProjectError([error(Where("bot.yml", 3, 5), "unknown key 'stroe'")]), 3, "bot.yml:3:5: unknown key 'stroe'\n"),
        (ModelError("the model is truncated"), 5, "the model is truncated\n"),
        (StoreError("no store"), 6, "no store\n"),
        (PermissionError(13, "Permission denied", "/p/bot.yml"), 1, "/p/bot.yml: Permission denied\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_are_sentences_with_an_exit_code(bot, failure, code, shown):
    bot.failure = failure
    for command in (("chat",), ("parse", "x")):
        result = run(*command)
        assert (result.exit_code, result.stderr, result.stdout) == (code, shown, "")


def test_a_defect_of_the_program_is_not_hidden(bot):
    bot.failure = RuntimeError("a bug")
    assert isinstance(run("parse", "x").exception, RuntimeError)


@pytest.mark.parametrize("debug", [True, False])
def test_a_traceback_in_the_log_is_shown_only_when_asked(debug):
    failing = """
import logging
class Failing(FakeBot):
    def handle(self, message):
        try:
            raise ValueError("no such date")
        except ValueError:
            logging.getLogger("dialogue.bot").exception("action book failed")
        return super().handle(message)
fake.open_bot = lambda project, *, progress=None, retrain=False: Failing()
"""
    talk = process(FAKE_PROJECT + failing, "chat", *(["--debug"] if debug else []))
    out, err = (stream.decode() for stream in talk.communicate(b"x\n", timeout=60))
    assert json.loads(out)["text"] == "x"
    assert "ERROR dialogue.bot: action book failed" in err
    assert "ValueError: no such date" in err
    assert ("Traceback" in err) is debug


def test_on_a_terminal_the_chat_is_for_people(tmp_path):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PROMPT_TOOLKIT_NO_CPR": "1", "TERM": "xterm", "PYTHONUTF8": "1"}
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    talk = process(FAKE_PROJECT, "chat", "--project", tmp_path, env=environment, **streams)
    os.close(theirs)
    os.write(ours, "望远镜\r/quit\r".encode())
    shown = bytearray()
    # Linux reports the other side's end as an error.
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)
    assert talk.wait(timeout=60) == 0
    assert "talking to Nova" in shown.decode()
    assert "you said 望远镜" in shown.decode()
    assert "+望远镜" in (tmp_path / ".starfold" / "history").read_text(encoding="utf-8")


def problems(monkeypatch, *found):
    fake = types.ModuleType("dialogue.training.validate")
    fake.validate_project = lambda project: found
    monkeypatch.setitem(sys.modules, "dialogue.training.validate", fake)


def test_validate_lists_every_problem(monkeypatch):
    at = Where("data/nlu.yml", 2, 3)
    problems(monkeypatch, error(at, "no intent 'gret'; did you mean 'greet'?"), warning(at, "only one example"))
    result = run("validate")
    assert result.exit_code == 3
    assert result.stderr.splitlines() == [
        "data/nlu.yml:2:3: no intent 'gret'; did you mean 'greet'?",
        "data/nlu.yml:2:3: warning: only one example",
        "1 error, 1 warning",
    ]


def test_warnings_alone_are_no_failure(monkeypatch):
    problems(monkeypatch, *[warning(Where("data/nlu.yml", line), "only one example") for line in (1, 2)])
    result = run("validate")
    assert (result.exit_code, result.stdout) == (0, "0 errors, 2 warnings\n")


@pytest.mark.parametrize("arguments", [("{}",), ("--project", "{}")])
def test_init_writes_where_it_is_told(monkeypatch, tmp_path, arguments):
    written = []
    monkeypatch.setattr("dialogue.scaffold.write_starter", lambda target: written.append(target) or (target,))
    result = run("init", *[argument.format(tmp_path) for argument in arguments])
    assert written == [tmp_path]
    assert f"starfold chat --project {tmp_path}" in result.stdout


def test_doctor_fails_only_when_something_needed_is_missing(monkeypatch):
    from dialogue.checks import Check, State

    advice = 'optional: pip install "starfold[postgres]"' + " and so on" * 20
    found = [Check("python", State.OK, "3.11"), Check("starfold[postgres]", State.NOTE, advice)]
    monkeypatch.setattr("dialogue.doctor.examine", lambda project: found)
    result = run("doctor")
    assert result.exit_code == 0
    ok, note = result.stdout.splitlines()
    assert ok.split() == ["ok", "python", "3.11"]
    assert note.split(maxsplit=2) == ["note", "starfold[postgres]", advice]
    found.append(Check("torch", State.FAILED, "not installed"))
    assert run("doctor").exit_code == 1


def test_a_pipe_is_utf8_in_any_locale():
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    talk = process(FAKE_PROJECT, "chat", env=environment)
    out, err = talk.communicate("望远镜\nb".encode() + b"\xff", timeout=60)
    first, second = map(json.loads, out.decode("utf-8").splitlines())
    assert (talk.returncode, err) == (0, b"")
    assert first["replies"] == [{"text": "you said 望远镜"}]
    assert "望" in out.decode("utf-8")
    assert second["error"] == "line 2: not UTF-8, byte 2 is 0xff"


def test_an_answer_comes_before_the_pipe_is_closed():
    talk = process(FAKE_PROJECT, "chat")
    talk.stdin.write(b"one\n")
    talk.stdin.flush()
    assert json.loads(talk.stdout.readline())["text"] == "one"
    _, err = talk.communicate(timeout=60)
    assert (talk.returncode, err) == (0, b"")


def test_control_c_is_quiet():
    # What runs in a shell's background inherits that Ctrl-C is ignored, and Python leaves it so.
    heard = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    talk = process(heard + FAKE_PROJECT, "chat")
    talk.stdin.write(b"one\n")
    talk.stdin.flush()
    talk.stdout.readline()
    time.sleep(0.1)
    talk.send_signal(signal.SIGINT)
    out, err = talk.communicate(timeout=60)
    assert (talk.returncode, out, err) == (130, b"", b"")


def test_a_reader_that_leaves_is_no_disaster():
    talk = process(FAKE_PROJECT, "chat")
    talk.stdout.close()
    _, err = talk.communicate(b"one\ntwo\n", timeout=60)
    assert (talk.returncode, err) == (141, b"")
