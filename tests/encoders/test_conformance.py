import pytest

from encoders.base import Encoder
from encoders.catalog import BUILT_IN, build
from encoders.testing import check_encoder

OPTIONS: dict[str, dict[str, object]] = {
    "onehot": {},
    "word2vec": {"dim": 16},
    "fasttext": {"dim": 16, "buckets": 2000},
    "gru": {"dim": 16, "epochs": 3},
    "bert": {},
    "use": {},
}


def test_every_built_in_encoder_is_checked() -> None:
    assert set(OPTIONS) == set(BUILT_IN)


PACKAGED = ("bert", "use")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.model] if n in PACKAGED else []) for n in OPTIONS])
def test_built_in_encoder_conforms(name: str) -> None:
    def make() -> Encoder:
        return build(name, OPTIONS[name])

    check_encoder(make)
