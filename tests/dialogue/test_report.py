"""`test nlu --report` and `--compare`: pages, files, and how they are asked for."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from dialogue.cli import app
from dialogue.report.outcomes import as_rows
from dialogue.report.single import plots_of, single_page
from tests.dialogue.reports import HOSTILE, findings, made
from tests.dialogue.tinybots import WORDS, texts


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def page_of(**options):
    found = findings(**options)
    return single_page(found, plots_of(found))


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_a_page_needs_nothing_else_and_runs_nothing():
    page = page_of()
    tags = Page(page).tags
    assert not {"script", "link", "img", "iframe", "object", "base"} & {tag for tag, _ in tags}
    loads = [(tag, name) for tag, attrs in tags for name in attrs if name in ("src", "href", "srcset", "xlink:href")]
    assert loads == []
    assert not any(name.startswith("on") for _, attrs in tags for name in attrs)
    assert "url(" not in page
    (policy,) = (attrs["content"] for tag, attrs in tags if tag == "meta" and "http-equiv" in attrs)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_what_was_said_is_shown_as_it_was_said():
    words = Page(page_of()).words
    assert words.count(HOSTILE) == 21  # one message, twenty doubtful labels
    assert "empty" in words
    assert "图书馆几点开门" in words
    assert "Nova & friends: what it understands" in words


def test_every_chart_has_its_numbers_as_a_table():
    tags = [tag for tag, _ in Page(page_of()).tags]
    assert tags.count("figure") == tags.count("figcaption") == tags.count("table") == 9


@pytest.mark.parametrize(("options", "shown"), [({"outside": 0}, False), ({"outside": 60}, True)])
def test_what_was_not_measured_is_not_on_the_page(options, shown):
    page = page_of(**options, curve=shown)
    assert ("AUROC" in page) is ("Out of scope, taken for an intent" in page) is shown
    assert ("Would more examples help?" in page) is shown


def test_a_perfect_bot_has_a_page_too():
    outcomes = made(40)
    perfect = replace(outcomes, guess=tuple(outcomes.truth), right=np.ones(40, bool))
    numbers = {**findings().numbers, "error_at_that_coverage": None, "coverage_at_2pct_error": 0.0, "threshold": 2.0}
    found = replace(findings(), outcomes=perfect, suspects=[], twins=[], repeated=0, seen=0, numbers=numbers)
    page = single_page(found, plots_of(found))
    assert "No message in scope was taken for another intent." in page
    assert "The examples agree with each other." in page
    assert "nothing is sure enough" in page


@pytest.fixture
def measured(monkeypatch):
    """What a measurement was asked for; its numbers; its outcomes, those of the project `better` being better."""
    asked = {}
    numbers = {"accuracy": 0.96375, "oos_auroc": None, "train_size": 15000, "seed": 0}

    def measure_nlu(**options):
        asked.update(options)
        return SimpleNamespace(numbers=numbers, better=options["project"].name == "better")

    monkeypatch.setattr("dialogue.training.evaluate.measure_nlu", measure_nlu)
    monkeypatch.setattr(
        "dialogue.report.outcomes.outcomes_of", lambda one: made(300, 40, skill=3.0 if one.better else 1.0)
    )
    monkeypatch.setattr(
        "dialogue.report.findings.find", lambda one, cache, curve: asked.update(curve=curve) or findings(curve=curve)
    )
    return asked, numbers


@pytest.fixture
def sets(tmp_path):
    """The options that name files, and the files."""
    files = {name: tmp_path / f"{name}.yml" for name in ("train", "test", "valid", "valid-oos", "oos")}
    for file in files.values():
        file.write_text("")
    return files


def options_of(sets):
    return [part for name, file in sets.items() for part in (f"--{name}", file)]


def test_nlu_is_measured_as_told_and_shown_as_table_and_json(measured, sets, tmp_path):
    asked, numbers = measured
    result = run("--project", "p", "test", "nlu", *options_of(sets), "--json", tmp_path / "out.json")
    assert result.exit_code == 0
    assert asked.pop("cache").name
    assert asked == {name.replace("-", "_"): file for name, file in sets.items()} | {"project": Path("p")}
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["accuracy", "0.9637"],
        ["oos_auroc", "-"],
        ["train_size", "15000"],
        ["seed", "0"],
    ]
    written = json.loads((tmp_path / "out.json").read_text())
    assert len(written.pop("messages")) == 340
    assert written == numbers


@pytest.mark.parametrize("curve", [True, False])
def test_a_report_is_a_page_and_its_charts(measured, sets, tmp_path, curve):
    asked, _ = measured
    place = tmp_path / "report"
    more = ["--learning-curve"] if curve else []
    result = run("test", "nlu", *options_of(sets), "--report", place, *more)
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == f"The report is in {place / 'report.html'}"
    names = {"reliability", "reliability-all", "confidence", "risk-coverage", "encoders", "training", "answering"}
    names |= {"confusion", "learning-curve"} if curve else {"confusion"}
    assert {file.name for file in place.iterdir()} == {"report.html", *(f"{name}.png" for name in names)}
    assert asked["curve"] is curve


def test_without_its_package_a_report_is_a_page_and_says_where_pngs_are(measured, sets, tmp_path, monkeypatch):
    monkeypatch.setattr("dialogue.report.write.can_draw", lambda: False)
    result = run("test", "nlu", *options_of(sets), "--report", tmp_path / "report")
    assert result.exit_code == 0
    assert 'pip install "starfold[report]"' in result.stderr
    assert [file.name for file in (tmp_path / "report").iterdir()] == ["report.html"]


def test_two_projects_and_results_are_compared(measured, sets, tmp_path):
    for name in ("plain", "better"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bot.yml").write_text("")
    plain, better, saved = tmp_path / "plain", tmp_path / "better" / "bot.yml", tmp_path / "plain.json"
    assert run("--project", plain, "test", "nlu", *options_of(sets), "--json", saved).exit_code == 0
    out = tmp_path / "out.json"
    result = run(
        "test", "nlu", *options_of(sets), "--compare", plain, better, "--json", out, "--report", tmp_path / "r"
    )
    assert result.exit_code == 0
    head, first, *_ = (line.split() for line in result.stdout.splitlines())
    assert head == ["first", "second", "difference", "95", "%", "interval"]
    assert first[0] == "accuracy"
    written = json.loads(out.read_text())
    assert (written["first"], written["second"], written["messages"]) == (str(plain), str(better), 340)
    assert written["measures"]["accuracy"]["lower"] > 0
    assert written["only_second_right"] > written["only_first_right"]
    assert f"Second: {better}" in (tmp_path / "r" / "report.html").read_text()
    again = run("test", "nlu", "--compare", saved, saved, "--json", out)
    assert again.exit_code == 0
    assert json.loads(out.read_text())["measures"]["nll"]["difference"] == 0


def test_results_of_other_messages_are_not_compared(tmp_path):
    rows, others = as_rows(made(30)), as_rows(made(30, seed=1))
    for name, messages in (("a", rows), ("b", [*rows, *others[:1]]), ("c", others)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"messages": messages}))
    longer = run("test", "nlu", "--compare", tmp_path / "a.json", tmp_path / "b.json")
    assert (longer.exit_code, "31 messages, but 30 in" in longer.stderr) == (3, True)
    other = run("test", "nlu", "--compare", tmp_path / "a.json", tmp_path / "c.json")
    assert (other.exit_code, "c.json:1:1: message 1 is 'message 0' (" in other.stderr) == (3, True)


@pytest.mark.parametrize(
    "options",
    [
        *(("--train", "absent.yml"), ("--json", "no/such/folder/out.json"), ("--oos", "absent.yml")),
        *(("--report", "no/such/folder/report"), ("--compare", "absent", "absent")),
    ],
)
def test_nlu_is_not_measured_on_files_that_are_not_there(measured, tmp_path, options):
    asked, _ = measured
    here = tmp_path / "here.yml"
    here.write_text("")
    result = run("test", "nlu", "--train", here, "--test", here, options[0], *(tmp_path / one for one in options[1:]))
    assert result.exit_code == 2
    assert not asked


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--test"], "--train"),
        (["--train"], "--test"),
        (["--train", "--test", "--learning-curve"], "--learning-curve"),
        (["--compare", "--train"], "--test"),
        (["--compare-file"], "bot.yml"),
    ],
)
def test_nlu_says_what_is_missing(measured, sets, tmp_path, options, named):
    asked, _ = measured
    values = {"--train": [sets["train"]], "--test": [sets["test"]], "--compare": [tmp_path, tmp_path]}
    values["--compare-file"] = [sets["train"], tmp_path]
    named_options = [part for name in options for part in (name.removesuffix("-file"), *values.get(name, []))]
    result = run("test", "nlu", *named_options)
    assert (result.exit_code, named in result.stderr) == (2, True)
    assert not asked


def test_a_real_bot_is_measured_drawn_and_compared(tmp_path):
    """From files to a page, nothing replaced: a bot of one small encoder against one of another."""
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "bot.yml").write_text('version: "1"\ndata: [.]\nencoders: {words: onehot}\n')
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / "bot.yml").write_text('version: "1"\ndata: [.]\nencoders: {w: onehot, f: fasttext}\n')
    sets = {}
    for name, start, stop in (("train", 0, 8), ("test", 8, 11)):
        rows = [{"text": text, "intent": intent} for intent in WORDS for text in texts(intent, stop)[start:]]
        rows += [{"text": "sun rain storm", "intent": "food"}] if name == "train" else []
        sets[name] = tmp_path / f"{name}.jsonl"
        sets[name].write_text("".join(json.dumps(row) + "\n" for row in rows))
    sets["oos"] = tmp_path / "oos.jsonl"
    sets["oos"].write_text('{"text": "xyzzy", "intent": "?"}\n{"text": "what now", "intent": "?"}\n')
    one = run(
        "-p", tmp_path / "words", "test", "nlu", *options_of(sets), "--report", tmp_path / "r", "--learning-curve"
    )
    assert one.exit_code == 0, one.output
    page = Page((tmp_path / "r" / "report.html").read_text())
    assert "sun rain storm" in page.words  # whose label the others doubt
    assert "Would more examples help?" in page.words
    both = run("test", "nlu", *options_of(sets), "--compare", tmp_path / "words", tmp_path / "vectors")
    assert both.exit_code == 0, both.output
    assert {line.split()[0] for line in both.stdout.splitlines()[1:]} >= {"accuracy", "nll", "ece", "oos_auroc"}
