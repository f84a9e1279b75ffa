"""A learned policy: what stories do in situations like this one, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import Self

from policies.history import LISTEN, NOT_UNDERSTOOD, base_intent, is_user, recent
from policies.types import Belief, Candidate, Decision, DialogueState, Kind, Pass, Story, StoryStep, Turn, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from policies.learned import Learned
    from policies.situations import Floats

INTERVAL = 0.9


class TransformerPolicy:
    """Does what stories do in like situations, with a posterior of its own.

    A small causal Transformer reads the last turns: what the user said, as the probabilities of the belief, and what
    the bot did; slots and the active form join its features, and a Bayesian last layer (`policies.last_layer`) gives
    each action a posterior mean and interval. "None of the stories" is a hypothesis beside the actions, learned from
    situations that no story has (`policies.episodes`). Where no action is sure enough, what the turn leads to elsewhere
    (`policies.habits`) is heard, too, unless a form takes the message; one that refused it goes on after the answer.
    It learns from stories, not from rules, and not beyond the first free text in one; turns that no story has are
    looked past, and past turns, of which the state keeps no belief, count as certain.

    Where stories tell the situation it is right more often than it says, beyond them less often (the log of experiments
    in `tests/bench/README.md`).

    It passes where the best action's mean is below `threshold`: the situation is unlike any story.

    Args:
        max_history: user turns it looks back.
        threshold: least posterior mean to act on, a probability.
        epochs: passes over the stories.
        layers: of the Transformer.
        dim: width of the Transformer, a multiple of 4.
        name: under which decisions are signed.

    Raises:
        ValueError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        max_history: int = 5,
        threshold: float = 0.6,
        epochs: int = 60,
        layers: int = 1,
        dim: int = 64,
        name: str = "transformer",
    ) -> None:
        for option, value in (("max_history", max_history), ("epochs", epochs), ("layers", layers), ("dim", dim)):
            if value < 1:
                raise ValueError(f"{option}: expected at least 1, got {value}")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold: expected a probability, got {threshold}")
        if dim % 4:
            raise ValueError(f"dim: expected a multiple of 4, got {dim}")
        self.max_history = max_history
        self.threshold = threshold
        self.epochs = epochs
        self.layers = layers
        self.dim = dim
        self.name = name

    def fit(self, stories: Sequence[Story], *, seed: int = 0) -> Self:
        """Learn from the stories; with none there is nothing to decide. The same seed gives the same policy."""
        from policies.episodes import learnable

        self.learned_: Learned | None = None
        if told := learnable(stories):
            from policies.learning import learn
            from policies.transformer_training import Shape

            shape = Shape(dim=self.dim, layers=self.layers, epochs=self.epochs)
            self.learned_ = learn(told, self.max_history, shape, seed)
        return self

    def decide(self, belief: Belief, state: DialogueState) -> Verdict:
        """The most probable action that may run, as sure as its posterior mean; a pass below the threshold."""
        if not state.turns:
            return Pass("nothing was said yet")
        if self.learned_ is None:
            return Pass("there are no stories to learn from")
        if not self._knows(state.turns[-1]):
            return Pass("no story knows this turn")
        from policies.episodes import ELSEWHERE

        shares, by_habit = self._shares(self.learned_, belief, state)
        found = [one for one in _candidates(shares, self.learned_.classes) if one.name not in state.rejected]
        nothing = next((one.mean for one in found if one.name == ELSEWHERE), 0.0)
        best = next((one for one in found if one.name != ELSEWHERE), None)
        if best is None:
            return Pass("every action of the stories refused to run")
        told = f"{best.name} {best.mean:.2f} (between {best.lower:.2f} and {best.upper:.2f}), no story {nothing:.2f}"
        if best.mean < self.threshold:
            return Pass(f"unlike any story: {told}")
        if best.name == LISTEN and not state.turns[-1].actions:
            return Pass(f"to be silent is no answer: {told}")
        if best.name == LISTEN and by_habit and state.active_form is not None:
            form = state.active_form
            return Decision(Kind.ACT, form, best.mean, self.name, f"so stories answer anywhere: {told}; {form} goes on")
        kind = Kind.LISTEN if best.name == LISTEN else Kind.ACT
        if kind is Kind.ACT and (state.turns[-1].intent or NOT_UNDERSTOOD) == NOT_UNDERSTOOD:
            kind = Kind.FALL_BACK
        how = "so stories answer anywhere" if by_habit else "as stories go"
        return Decision(kind, best.name, best.mean, self.name, f"{how}: {told}")

    def posterior(self, belief: Belief, state: DialogueState) -> tuple[Candidate, ...]:
        """Every action of the stories and "no story", most probable first, with their 90 % intervals.

        Raises:
            ValueError: if nothing was learned, or no story knows the turn.
        """
        if self.learned_ is None or not state.turns or not self._knows(state.turns[-1]):
            raise ValueError("the posterior needs a policy fitted on stories, and a turn that they know")
        return _candidates(self._shares(self.learned_, belief, state)[0], self.learned_.classes)

    def save(self, folder: Path) -> None:
        """Write vocabulary and tuning as JSON, weights as safetensors."""
        from policies.learned import save

        save(self.learned_, folder)

    def load(self, folder: Path) -> Self:
        """Read what `save` wrote. Raises `ValueError` naming a damaged file."""
        from policies.learned import load

        self.learned_ = load(folder)
        return self

    def _knows(self, turn: Turn) -> bool:
        known = () if self.learned_ is None else self.learned_.words.intents
        return base_intent(turn.intent or NOT_UNDERSTOOD) in known

    def _shares(self, learned: Learned, belief: Belief, state: DialogueState) -> tuple[NDArray[np.float64], bool]:
        """Draws of the classes' probabilities [DRAWS, C]; and whether by habit, where the net is less sure."""
        from policies.habits import after, turned

        shares = learned.layer.sample(self._phi(learned, belief, state)).astype(float)
        surest = float(shares[:, :-1].mean(axis=0).max())
        so_far = turned(state.turns[-1].intent or NOT_UNDERSTOOD, state.turns[-1].actions)
        habit = learned.habits.get(so_far) or learned.habits.get(after(so_far))
        believed = next((one.mean for one in belief.intents if one.name == so_far[0]), 0.0)
        if habit is None or surest >= self.threshold or habit.mean * believed <= surest or not _is_free(state):
            return shares, False
        return habit.followed(shares, learned.classes.index(habit.action), believed), True

    def _phi(self, learned: Learned, belief: Belief, state: DialogueState) -> Floats:
        """The situation as the last layer reads it [F]."""
        import numpy as np

        from policies.episodes import MOST_MOVES
        from policies.moves import action_place, situated
        from policies.transformer_forward import features

        words = learned.words
        steps = tuple(step for turn in state.turns if self._knows(turn) for step in _steps(turn))
        moves = recent(steps, self.max_history)[-MOST_MOVES:]
        now = max((number for number, move in enumerate(moves) if is_user(move)), default=-1)
        believed = {candidate.name: candidate.mean for candidate in belief.intents}
        rows = []
        for number, move in enumerate(moves):
            means = believed if number == now else {base_intent(move.intent or ""): 1.0}
            rows.append(words.user(means, move.entities) if is_user(move) else words.bot(move.action))
        tokens = np.array(rows, np.float32)
        states = np.tile(words.state(state.slots, state.active_form), (len(moves), 1))
        users = np.array([is_user(move) for move in moves])
        actions = np.array([-1 if is_user(move) else action_place(words, move.action) for move in moves], np.int64)
        situations = situated(tokens, states, users, actions, len(words.actions) + 1)
        return learned.layer.phi(features(learned.weights, tokens, states)[-1], situations[-1])


def _candidates(shares: NDArray[np.float64], classes: Sequence[str]) -> tuple[Candidate, ...]:
    """Draws [DRAWS, C] summed up, most probable first."""
    import numpy as np

    means = shares.mean(axis=0)
    if not np.isfinite(means).all():
        raise ValueError("the posterior of the stories' actions is not finite")
    edge = int(len(shares) * (1 - INTERVAL) / 2)
    inner = np.sort(shares, axis=0)[edge : len(shares) - edge]
    lower, upper = inner[0], inner[-1]
    lower, upper = np.minimum(lower, means), np.maximum(upper, means)  # a skewed mean may lie beyond a quantile
    order = map(int, np.argsort(-means, kind="stable"))
    return tuple(Candidate(classes[c], float(means[c]), float(lower[c]), float(upper[c])) for c in order)


def _is_free(state: DialogueState) -> bool:
    """Whether no form has a say in the turn: none is in charge, or it refused the message."""
    form, actions = state.active_form, state.turns[-1].actions
    return form is None or form in state.rejected or (bool(actions) and form not in actions)


def _steps(turn: Turn) -> list[StoryStep]:
    """A turn as the steps of a story."""
    said = StoryStep(intent=turn.intent or NOT_UNDERSTOOD, entities=turn.entities)
    return [said, *(StoryStep(action=action) for action in turn.actions)]
