"""The family of posteriors by the names bot.yml has for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from dialogue.posterior.base import Posterior
from dialogue.posterior.conjugate import ConjugatePosterior

PosteriorName: TypeAlias = Literal[
    "conjugate", "laplace", "variational", "mcmc", "ensemble", "mc_dropout", "point", "niw"
]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the family with its options; each option is that of the one posterior named beside it."""

    type: PosteriorName = "conjugate"
    hessian: Literal["full", "kronecker", "diagonal"] = "kronecker"  # laplace
    rank: int = 0  # variational
    sampler: Literal["hmc", "sghmc"] = "hmc"  # mcmc
    members: int = 16  # ensemble
    dropout: float = 0.1  # mc_dropout


def build(choice: Choice) -> Posterior:
    """A posterior that is to be fitted."""
    if choice.type == "laplace":
        from dialogue.posterior.laplace import LaplacePosterior

        return LaplacePosterior(choice.hessian)
    if choice.type == "variational":
        from dialogue.posterior.variational import VariationalPosterior

        return VariationalPosterior(choice.rank)
    if choice.type == "mcmc":
        from dialogue.posterior.mcmc import McmcPosterior

        return McmcPosterior(choice.sampler)
    if choice.type == "ensemble":
        from dialogue.posterior.ensemble import EnsemblePosterior

        return EnsemblePosterior(choice.members)
    if choice.type == "mc_dropout":
        from dialogue.posterior.mc_dropout import DropoutPosterior

        return DropoutPosterior(choice.dropout)
    return posterior_class(choice.type)()


def posterior_class(name: PosteriorName) -> type[Posterior]:
    """The class that reads what a posterior of that name has saved."""
    if name == "conjugate":
        return ConjugatePosterior
    if name == "niw":
        from dialogue.posterior.niw import NiwPosterior

        return NiwPosterior
    if name == "point":
        from dialogue.posterior.point import PointPosterior

        return PointPosterior
    return type(build(Choice(type=name)))
