"""A project's bot.yml as a `Config`, or with every problem that is in it.

`${NAME}` and `${NAME:default}` stand for environment variables anywhere in a value. A Rasa project without a bot.yml is
read as if it had one (`dialogue.rasa`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from dialogue.config import CONFIG_FILE, Config
from dialogue.errors import Problem, ProjectError, Where, error
from dialogue.rasa.found import Row
from dialogue.rasa.project import is_rasa_project, translate
from dialogue.training.nodes import Listing, Report, Scalar, Table, plain
from dialogue.training.places import find_node, schema_problems, substitute
from dialogue.training.yaml import read_yaml

SECRETS = ("tokens", "jwt_secret", "visitor_secret", "identity_secret")


def load_config(project: Path) -> Config:
    """Read and check a project's bot.yml; without one, the files of a Rasa project.

    Raises:
        ProjectError: with every problem found, each with its place.
    """
    config, problems = read_config(project)
    if any(problem.is_error for problem in problems):
        raise ProjectError(problems)
    return config


def read_config(project: Path) -> tuple[Config, list[Problem]]:
    """As `load_config`, and what is wrong beside it: a section that is, is as if it were not there.

    Raises:
        ProjectError: if nothing of it can be read.
    """
    report = Report()
    tree, rows = _read(project, report)
    values = plain(tree)
    try:
        config = Config.model_validate(values)
    except ValidationError as cause:
        report.extend(schema_problems(cause, tree, Config))
        wrong = {found["loc"][:1] for found in cause.errors()}
        try:
            config = Config.model_validate({key: value for key, value in values.items() if (key,) not in wrong})
        except ValidationError:
            raise ProjectError(report.problems) from cause
    config.found(project, tree, rows)
    report.extend(_missing_files(config))
    report.extend(_missing_fusion(config))
    return config, report.problems


def has_config(project: Path) -> bool:
    """Whether a folder says how its bot is made: by a bot.yml, or as a Rasa project."""
    return (project / CONFIG_FILE).exists() or is_rasa_project(project)


def _read(project: Path, report: Report) -> tuple[Table, tuple[Row, ...]]:
    """What stands in bot.yml, or would stand there."""
    file = project / CONFIG_FILE
    if file.exists():
        written = read_yaml(file, report)
        report.problems += _bare_secrets(written)
        return substitute(written, report), ()
    if not has_config(project):
        message = "no such file; `starfold init` writes one. A Rasa project has config.yml, data and a domain"
        raise ProjectError([error(Where(str(file)), message)])
    translation = translate(project, report)
    return translation.tree, translation.rows


def _bare_secrets(tree: Table) -> Iterator[Problem]:
    """Secrets of the server that stand in the file itself, where whoever sees the bot sees them."""
    server = find_node(tree, ["server"])
    for name, entry in server.entries.items() if isinstance(server, Table) else ():
        values = entry.value.items if isinstance(entry.value, Listing) else (entry.value,)
        for one in values if name in SECRETS else ():
            if isinstance(one, Scalar) and one.value is not None and "${" not in one.text:
                yield error(one.where, f"server.{name}: a secret stands in the environment, not here; write ${{NAME}}")


def _missing_fusion(config: Config) -> Iterator[Problem]:
    """A posterior of a fusion that is not to be trained."""
    if config.posterior.of == "fusion" and config.fusion.tune == "none":
        message = "posterior.of: there is no fusion; fusion.tune is none, in bot.yml or by its pipeline"
        yield error(config.where("posterior", "of"), message)


def _missing_files(config: Config) -> Iterator[Problem]:
    """Files and folders that bot.yml names and that are not there."""
    for number, path in enumerate(config.data_paths):
        if not path.exists():
            yield error(config.where("data", number), f"data: there is no file or folder {str(path)!r}")
    file = config.actions.file if config.actions is not None else None
    if file is not None and not (config.project / file).is_file():
        yield error(config.where("actions"), f"actions: there is no file {str(config.project / file)!r}")
    for key, server in (("actions", config.actions), ("nlg", config.nlg), ("duckling", config.duckling)):
        if server is not None and server.cafile and not (config.project / server.cafile).is_file():
            yield error(config.where(key, "cafile"), f"{key}.cafile: there is no file {server.cafile!r}")
