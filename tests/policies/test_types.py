import pytest

from policies.types import Belief, Candidate


def belief(*means: float, unknown: float = 0.0, **others: object) -> Belief:
    intents = tuple(Candidate(f"i{number}", mean, mean, mean) for number, mean in enumerate(means))
    return Belief(intents, unknown, 0.1, 0.0, **others)  # type: ignore[arg-type]


def test_a_belief_is_a_distribution_most_probable_first() -> None:
    assert belief(0.5, 0.3, unknown=0.2).best(1) == (Candidate("i0", 0.5, 0.5, 0.5),)
    with pytest.raises(ValueError, match=r"give 0\.900000"):
        belief(0.5, 0.4)
    with pytest.raises(ValueError, match="not sorted"):
        belief(0.3, 0.7)
    with pytest.raises(ValueError, match="not finite"):
        belief(0.5, 0.5, unknown=float("nan"))
    with pytest.raises(ValueError, match="out of range"):
        belief(1.5, unknown=-0.5)


@pytest.mark.parametrize(
    ("mean", "lower", "upper"),
    [(0.5, 0.6, 0.7), (0.5, 0.3, 0.4), (0.5, -0.1, 0.6), (0.5, 0.4, 1.1), (float("nan"), 0, 1), (0.5, float("nan"), 1)],
)
def test_of_each_candidate_the_interval_holds_the_mean(mean: float, lower: float, upper: float) -> None:
    wrong = Candidate("wifi", mean, lower, upper)
    with pytest.raises(ValueError, match="candidate 'wifi': expected 0 <= lower <= mean <= upper <= 1"):
        belief(0.5, 0.5, responses={"i0": (wrong,)})
    with pytest.raises(ValueError, match="candidate 'wifi'"):
        Belief((wrong,), 0.5, 0.1, 0.0)
