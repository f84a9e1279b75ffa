"""bot.yml: what the bot is made of.

`bot.yml` at the root of the repository is the annotated reference of every option; the models here are its schema.
It is read by `dialogue.config_file`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from dialogue.errors import Where, suggestion
from dialogue.pipelines import DEFAULT, PipelineName, pipeline
from dialogue.sections import Actions, Duckling, Section, Server, Serving
from dialogue.training.nodes import Table
from dialogue.training.places import place_of

if TYPE_CHECKING:
    from dialogue.rasa.found import Row

CONFIG_FILE = "bot.yml"
SQLITE = "sqlite:///"

Share: TypeAlias = Annotated[float, Field(ge=0, lt=1)]
Probability: TypeAlias = Annotated[float, Field(gt=0, lt=1)]
Count: TypeAlias = Annotated[int, Field(ge=1)]


class Part(BaseModel):
    """A part of the bot by its type, with the options of that type. A bare name stands for a type without options."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    type: str = Field(min_length=1, description="A built-in name, the name of an entry point, or a path module:Class.")

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

    @property
    def options(self) -> Mapping[str, Any]:
        """Keyword arguments for the constructor."""
        return dict(self.model_extra or {})


class EncoderPart(Part):
    """An encoder."""

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        from encoders.catalog import names

        return known_type("encoder", value, names())


class PolicyPart(Part):
    """A policy."""

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        from policies.catalog import known

        return known_type("policy", value, known())


class ChannelPart(Part):
    """A messaging channel; its type is its name unless another is given."""

    type: str = Field(default="", description="As the name of the channel, or a type as for encoders.")


def known_type(kind: str, name: str, names: Iterable[str]) -> str:
    """The name itself. Raises `ValueError` when it is none of `names` and no path to a class either."""
    known = set(names)
    if name not in known and ":" not in name:
        raise ValueError(f"there is no {kind} {name!r}{suggestion(name, known)}")
    return name


class Fusion(Section):
    """How the fusion Transformer learns."""

    tune: Literal["none", "last_layers", "all"] = Field(
        default="last_layers", description="Which layers of the pretrained encoder are tuned; none trains in seconds."
    )
    layers: Count | None = Field(
        default=1, description="Number of last layers the fusion continues; null: 12,000 by the examples, 2 at least."
    )
    epochs: Count = Field(default=3, description="Most passes over the training data.")
    patience: Count = Field(default=1, description="Passes without progress on held-out data before it stops.")
    folds: int = Field(
        default=2, ge=2, description="Members trained, each on all folds but its own; all read a message."
    )
    batch_size: int = Field(default=64, ge=4, description="Sentences a step.")
    learning_rate: float = Field(default=2e-4, gt=0, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(default=0.01, ge=0, description="Weight decay of AdamW.")
    dropout: Share = Field(default=0.1, description="Share of the Transformer's numbers dropped in training.")
    encoder_dropout: Share = Field(default=0.1, description="How often an encoder is dropped as a whole in training.")


class Entities(Section):
    """How entities are found, beside regular expressions and lookup tables."""

    learn: bool = Field(default=True, description="Whether a tagger learns from annotated examples, if there are 40.")


OF_THE_FUSION = ("ensemble", "mcmc")


class Posterior(Section):
    """How a fused feature becomes a belief."""

    type: Literal["conjugate", "laplace", "variational", "mcmc", "ensemble", "mc_dropout", "point", "niw"] = Field(
        default="conjugate", description="How the posterior is computed."
    )
    of: Literal["last_layer", "fusion"] = Field(
        default="last_layer",
        description="Of ensemble and mcmc: of what; of the fusion each draw is a whole Transformer.",
    )
    hessian: Literal["full", "kronecker", "diagonal"] = Field(
        default="kronecker", description="Of laplace: how much of the curvature is kept."
    )
    rank: int = Field(default=0, ge=0, le=32, description="Of variational: directions beyond mean field.")
    sampler: Literal["hmc", "sghmc"] = Field(default="hmc", description="Of mcmc: exact, or by small batches.")
    members: Count | None = Field(
        default=None, description="Of ensemble: heads, null for 16; of the fusion, how many are drawn, null for 4."
    )
    dropout: Share = Field(default=0.1, description="Of mc_dropout: share of the last layer's inputs dropped.")
    interval: Probability = Field(default=0.9, description="Probability that a credible interval covers.")
    unknown_prior: Probability = Field(default=0.1, description="Prior probability of none of these intents.")
    samples: Count = Field(default=256, description="Draws from the posterior where it has no closed form.")

    @field_validator("of")
    @classmethod
    def _can_be_of_it(cls, value: str, info: ValidationInfo) -> str:
        if value == "fusion" and info.data.get("type", "mcmc") not in OF_THE_FUSION:
            raise ValueError(f"the fusion has no posterior of type {info.data['type']}; it may be ensemble or mcmc")
        return value

    @field_validator("sampler")
    @classmethod
    def _can_sample_it(cls, value: str, info: ValidationInfo) -> str:
        if value == "hmc" and (info.data.get("type"), info.data.get("of")) == ("mcmc", "fusion"):
            raise ValueError("the whole fusion is sampled by sghmc, not by hmc")
        return value

    @property
    def heads(self) -> int:
        """How many heads an ensemble of last layers has."""
        return self.members or 16

    @property
    def fusions(self) -> int:
        """How many fusions there are: one that is trained, or draws from its posterior."""
        return (self.members or 4) if self.of == "fusion" else 1


class IntentPrior(Section):
    """How often each intent is expected, by the conversations of the store."""

    strength: float = Field(
        default=100, gt=0, description="How many messages the shares of the intents in the training data count for."
    )


class Store(Section):
    """Where conversations are kept."""

    url: str = Field(
        default="sqlite:///.starfold/conversations.db",
        min_length=1,
        description="SQLAlchemy URL; a relative SQLite path is seen from the project's folder.",
    )


DEFAULT_POLICIES = ("forms", "rules", "memory", "transformer", "confidence", "fallback")


class Config(Section):
    """All of bot.yml."""

    version: Annotated[Literal["1"], BeforeValidator(str)] = Field(default="1", description="Format of this file.")
    name: str = Field(default="bot", min_length=1, description="What the bot calls itself in the terminal and in logs.")
    language: str = Field(
        default="en", pattern=r"^[a-z]{2,3}([-_][A-Za-z0-9]+)*$", description="Main language, as ISO 639: en, zh, de..."
    )
    data: list[str] = Field(default=["data"], min_length=1, description="Files and folders of training data.")
    actions: Actions | None = Field(
        default=None, description="Custom actions: a Python file, the URL of an action server, or null for none."
    )
    nlg: Server | None = Field(
        default=None, description="The URL of a server that words the responses, or null: the domain does."
    )
    duckling: Duckling | None = Field(
        default=None, description="The URL of a Duckling server that finds times, numbers and amounts, or null."
    )
    pipeline: PipelineName = Field(
        default=DEFAULT, description="What stands for the sections encoders and fusion where they are not written."
    )
    encoders: dict[str, EncoderPart] = Field(
        default={}, description="Encoders under names of your own; empty for those of the pipeline."
    )
    fusion: Fusion = Field(default=Fusion(), description="How the views of the encoders are folded together.")
    entities: Entities = Field(default=Entities(), description="How entities are found.")
    posterior: Posterior = Field(default=Posterior(), description="How sure the bot is of what it understood.")
    intent_prior: IntentPrior | None = Field(
        default=None, description="How often each intent is expected, by stored conversations; null: as in training."
    )
    policies: list[PolicyPart] = Field(
        default=[PolicyPart(type=name) for name in DEFAULT_POLICIES],
        min_length=1,
        description="Who decides, in this order; the first that answers wins.",
    )
    channels: dict[str, ChannelPart] = Field(
        default={}, description="Messaging channels under their names, each with the options of its type."
    )
    store: Store = Field(default=Store(), description="Where conversations are kept.")
    server: Serving = Field(default=Serving(), description="How `starfold run` serves the bot.")
    model: str = Field(default=".starfold/model", min_length=1, description="Folder of the trained model.")
    cache: str = Field(default=".starfold/cache", min_length=1, description="Folder of cached features.")
    seed: int = Field(default=0, ge=0, description="Seed of everything random in training.")
    threads: Count = Field(default=1, description="Threads for computing; more only pay with thousands of examples.")

    _project: Path = PrivateAttr(default=Path())
    _tree: Table = PrivateAttr(default=Table(Where(CONFIG_FILE), {}))
    _rows: tuple[Row, ...] = PrivateAttr(default=())

    @model_validator(mode="before")
    @classmethod
    def _of_the_pipeline(cls, value: Any) -> Any:
        """What is not written of encoders (as a whole) and of fusion (key by key) is the pipeline's."""
        if not isinstance(value, dict):
            return value
        named = pipeline(value.get("pipeline", DEFAULT))
        encoders, fusion = value.get("encoders", {}), value.get("fusion", {})
        return {
            **value,
            "encoders": named.encoders(value.get("language", "en")) if encoders == {} else encoders,
            "fusion": {**named.fusion, **fusion} if isinstance(fusion, dict) else fusion,
        }

    @field_validator("channels", mode="before")
    @classmethod
    def _named_types(cls, value: Any) -> Any:
        """A channel without a type is of the type it is named after; one without options may be left empty."""
        if not isinstance(value, dict):
            return value
        parts = {name: {} if part is None else part for name, part in value.items()}
        return {name: {"type": name, **part} if isinstance(part, dict) else part for name, part in parts.items()}

    @field_validator("channels")
    @classmethod
    def _channel_names(cls, value: dict[str, ChannelPart]) -> dict[str, ChannelPart]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name):
                raise ValueError(f"{name!r}: expected a name of letters, digits, - and _, the last part of an address")
        return value

    @property
    def project(self) -> Path:
        """The folder bot.yml lies in."""
        return self._project

    @property
    def file(self) -> Path:
        """What it was read from: bot.yml, or the config.yml of a Rasa project."""
        return Path(self._tree.where.file)

    @property
    def rows(self) -> tuple[Row, ...]:
        """For a Rasa project, what became of each of its parts."""
        return self._rows

    @property
    def data_paths(self) -> list[Path]:
        """Files and folders of training data, as paths that can be opened from here."""
        return [self._project / path for path in self.data]

    @property
    def taught_path(self) -> Path:
        """Where taught examples go: the first of `data`, or a Rasa project's folder where single files are found."""
        first = self.data_paths[0]
        return self._project if self._rows and not first.is_dir() else first

    @property
    def model_path(self) -> Path:
        """Folder of the trained model."""
        return self._project / self.model

    @property
    def cache_path(self) -> Path:
        """Folder of cached features."""
        return self._project / self.cache

    @property
    def store_url(self) -> str:
        """The store's URL; a relative SQLite path is made to start at the project's folder."""
        path = self.store.url.removeprefix(SQLITE)
        if path == self.store.url or path.startswith((":memory:", "/")) or not path:
            return self.store.url
        return f"{SQLITE}{self._project / path}"

    def found(self, project: Path, tree: Table, rows: tuple[Row, ...]) -> None:
        """Keep where it was read: the project's folder, what its file says, what became of a Rasa project's parts."""
        self._project, self._tree, self._rows = project, tree, rows

    def where(self, *keys: str | int) -> Where:
        """The place of a value in bot.yml, or of the nearest thing around it that is written there."""
        return place_of(self._tree, keys)


def default_encoders(language: object) -> dict[str, Mapping[str, Any]]:
    """The encoders of a bot.yml that says nothing of them."""
    return pipeline(DEFAULT).encoders(language)
