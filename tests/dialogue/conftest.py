"""Trained bots that tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conversations.nova import write_project


def trained(folder: Path, language: str) -> Path:
    from dialogue.project import train

    train(write_project(folder, language, tune="none"))
    return folder


@pytest.fixture(scope="session")
def nova_en(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the English Nova, trained without fusion. Tests must not change it."""
    return trained(tmp_path_factory.mktemp("nova_en"), "en")


@pytest.fixture(scope="session")
def nova_zh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the Chinese Nova, trained without fusion. Tests must not change it."""
    return trained(tmp_path_factory.mktemp("nova_zh"), "zh")


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Posteriors fitted step by step take few steps: for tests of what holds however good a posterior is."""
    monkeypatch.setattr("dialogue.posterior.mcmc.WARM_UP", 10)
    monkeypatch.setattr("dialogue.posterior.mcmc.KEPT", 10)
    monkeypatch.setattr("dialogue.posterior.variational.STEPS", 30)
    monkeypatch.setattr("dialogue.posterior.mc_dropout.STEPS", 30)
