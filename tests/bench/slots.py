"""Entities: SNIPS, and MASSIVE in Chinese.

    python -m tests.bench.slots                                   all rungs of both sets on the test split
    python -m tests.bench.slots --split valid --rung tagger       what to choose by
    python -m tests.bench.slots --split valid --only snips --rung tagger --limit 2000
    python -m tests.bench.slots --only snips --rung bot --vectors glove.6B.50d.txt
    python -m tests.bench.slots --only snips --rung bot --large [--vectors glove.6B.50d.txt]

The rungs: `words`, a tagger on the last layer of the default pretrained encoder; `early`, the same with the states of
its early layers; `tagger`, with layers after those tuned where there are enough examples; `bot`, the whole of it,
intents too, by `starfold test nlu`; `bot+mpnet`, that with all-mpnet-base-v2 in MiniLM's place (`en-mpnet/bot.yml`);
`bot+vectors` and `bot+mpnet+vectors`, with pretrained word vectors beside (`--vectors`, a file). Slot F1 counts whole
spans (Tjong Kim Sang and Buchholz 2000), a sentence is right when its intent and every entity are (Goo et al. 2018,
FitzGerald et al. 2022); of a rung without intents `spans` is the share of sentences whose every entity is right.

Data sets are found in `--data DIR` or STARFOLD_DATASETS: `snips/` and `massive_zh/` as JSON lines of text, intent,
tokens and tags. Every result is a line of results/slots.jsonl; `--table` prints the newest of each. Features of
pretrained encoders are cached between runs in `--cache`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from dialogue.config import Config
from dialogue.encoding import EncoderSet
from dialogue.plugins import build_encoders
from dialogue.tagging.tagger import fit_tagger
from dialogue.training.evaluate import entity_ece, evaluate_nlu, spans_of
from dialogue.training.metrics import percentiles, span_f1
from dialogue.training.tables import read_examples
from dialogue.training.trainer import FEWEST_TUNED, layers_to_tune, to_tag
from encoders.cache import FeatureCache
from encoders.threads import limit_threads
from encoders.tokenizer import tokenize

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "slots.jsonl"
LANGUAGES = {"snips": "en", "massive_zh": "zh"}
RUNGS = ("words", "early", "tagger", "bot")
SHARES = ("accuracy", "slot_f1", "spans", "sentence_accuracy")


def main() -> None:
    options = arguments()
    for name in () if options.table else [options.only] if options.only else LANGUAGES:
        for rung in [options.rung] if options.rung else RUNGS:
            row = measure(name, rung, options)
            with RESULTS.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
    print(table())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("STARFOLD_DATASETS"))
    parser.add_argument("--only", choices=list(LANGUAGES))
    parser.add_argument("--rung", choices=RUNGS)
    parser.add_argument("--split", choices=["valid", "test"], default="test")
    parser.add_argument("--vectors", type=Path, help="pretrained word vectors, one more encoder of the rung bot")
    parser.add_argument("--large", action="store_true", help="the larger pretrained encoder in the rung bot")
    parser.add_argument("--limit", type=int, help="learn from so many of the first training examples")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "starfold-bench")
    parser.add_argument("--table", action="store_true", help="only print what was measured before")
    options = parser.parse_args()
    if options.data is None and not options.table:
        parser.error("say where the data sets are: --data DIR or STARFOLD_DATASETS")
    return options


def measure(name: str, rung: str, options: argparse.Namespace) -> dict[str, Any]:
    """One rung on one set."""
    with tempfile.TemporaryDirectory() as place:
        train = Path(place) / "train.jsonl"
        with (options.data / name / "train.jsonl").open(encoding="utf-8") as lines:
            train.write_text("".join(islice(lines, options.limit)), "utf-8")
        test = options.data / name / f"{options.split}.jsonl"
        project = HERE / LANGUAGES[name]
        if rung == "bot" and options.large:
            rung, project = "bot+mpnet", HERE / "en-mpnet"
        if rung.startswith("bot") and options.vectors is not None:
            rung, project = f"{rung}+vectors", beside(project, options.vectors.resolve(), Path(place))
        bot = rung.startswith("bot")
        found = whole(train, test, project, options) if bot else alone(name, rung, train, test, options)
    return {"task": name, "rung": rung, "split": options.split, "seed": options.seed, **found}


def beside(project: Path, vectors: Path, place: Path) -> Path:
    """A project that has word vectors, too."""
    text = (project / "bot.yml").read_text("utf-8")
    added = text.replace("\nencoders:\n", f"\nencoders:\n  vectors: {{type: word2vec, vectors: '{vectors}'}}\n")
    (place / "bot.yml").write_text(added, "utf-8")
    return place


def whole(train: Path, test: Path, project: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The whole bot."""
    os.environ["SEED"] = str(options.seed)
    return dict(evaluate_nlu(train=train, test=test, project=project, cache=options.cache))


def alone(name: str, rung: str, train: Path, test: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A tagger on the default pretrained encoder. Times are without the encoder's."""
    config = Config(language=LANGUAGES[name])
    limit_threads(config.threads)
    encoder = build_encoders(config)["bert"]
    sets = [read_examples(file) for file in (train, test)]
    texts = [[tokenize(example.text, config.language) for example in examples] for examples in sets]
    fitted = {"bert": encoder.fit(texts[0])}
    encoders = EncoderSet(fitted, {"bert": "bert"}, None, to_tag(fitted) if rung != "words" else ())
    store = FeatureCache(options.cache / "features.db")
    seen, asked = (encoders.see(utterances, store) for utterances in texts)
    annotated = [example.entities for example in sets[0]]
    tops = layers_to_tune(encoders) if rung == "tagger" and sum(map(bool, annotated)) >= FEWEST_TUNED else {}
    start = time.process_time()
    tagger = fit_tagger(texts[0], annotated, seen, [], tops, seed=options.seed)
    cpu = time.process_time() - start
    if tagger is None:
        raise SystemExit(f"{train} has no entities")
    found, spent = [], []
    for i, utterance in enumerate(texts[1]):
        units, start = asked.pick(np.array([i])), time.perf_counter()
        found += map(tagger.entities, tagger.read([utterance], units))
        spent.append((time.perf_counter() - start) * 1000)
    guessed, truth = [spans_of(entities) for entities in found], [spans_of(example.entities) for example in sets[1]]
    return {
        "slot_f1": span_f1(guessed, truth),
        "spans": float(np.mean([ours == theirs for ours, theirs in zip(guessed, truth, strict=True)])),
        "slot_ece": entity_ece(found, truth),
        "train_cpu_seconds": cpu,
        "ms_per_message_p50": percentiles(spent)[0],
        "train_size": len(sets[0]),
    }


def table() -> str:
    """The newest row of each set, rung, split and size."""
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in RESULTS.read_text("utf-8").splitlines() if RESULTS.exists() else ():
        row = json.loads(line)
        newest[row["task"], row["train_size"], row["split"], row["rung"]] = row
    lines = [
        "| set | examples | split | rung | intent | slot F1 | spans | sentence | entity ECE | CPU s | ms a message |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for keys, row in sorted(newest.items()):
        cells = [*(number(row, name, 2, 100) for name in SHARES), number(row, "slot_ece", 3)]
        cells += [number(row, name, 1) for name in ("train_cpu_seconds", "ms_per_message_p50")]
        lines.append(f"| {' | '.join(map(str, keys))} | {' | '.join(cells)} |")
    return "\n".join(lines)


def number(row: dict[str, Any], name: str, digits: int, scale: float = 1.0) -> str:
    value = row.get(name)
    return "-" if value is None else f"{value * scale:.{digits}f}"


if __name__ == "__main__":
    main()
