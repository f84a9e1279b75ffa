"""The command that lists messaging channels."""

from __future__ import annotations

import os

import typer

from dialogue.commands.frame import HERE, Project


def channels(project: Project = HERE) -> None:
    """List the messaging channels: configured ones with their webhook, the others with the options they need."""
    from dialogue.assembly import channel_states
    from dialogue.config_file import has_config, load_config
    from dialogue.console import channels as shown
    from dialogue.console import console

    config = load_config(project) if has_config(project) else None
    states = channel_states(config, os.environ)
    console().print(shown(states))
    if any(state.word == "wrong" for state in states):
        from dialogue.errors import ProjectError

        raise typer.Exit(ProjectError.exit_code)
