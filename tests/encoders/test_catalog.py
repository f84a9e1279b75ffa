from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from encoders import catalog
from encoders.catalog import BUILT_IN, OptionError, UnknownEncoderError, build, names, resolve


class Third:
    """Stands for a third party's encoder."""

    supervised = False
    dim = 1
    fit = encode = save = load = None

    def __init__(self, *, size: int, where: Path | None = None, rate: float = 0.1) -> None:
        self.size, self.where, self.rate = size, where, rate


def test_every_built_in_name_leads_to_an_encoder() -> None:
    for name in BUILT_IN:
        assert isinstance(build(name, {}), resolve(name))
    assert set(BUILT_IN) <= set(names())


def test_dotted_path_and_conversion() -> None:
    made = build("tests.encoders.test_catalog:Third", {"size": 3, "where": "a/b", "rate": 1})
    assert (made.size, made.where, made.rate) == (3, Path("a/b"), 1.0)  # type: ignore[attr-defined]
    assert build("onehot", {"char_ngrams": [1, 3]}).char_ngrams == (1, 3)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bert", {"modle": "x"}, "did you mean 'model'.*max_tokens"),
        ("bert", {"max_tokens": "many"}, "max_tokens.*integer"),
        ("bert", {"max_tokens": True}, "max_tokens.*integer"),
        ("bert", {"runtime": "gpu"}, "'auto', 'torch' or 'onnx'"),
        ("onehot", {"char_ngrams": [1]}, "char_ngrams"),
        ("onehot", {"min_count": 0}, "min_count.* = 0: .*greater than or equal to 1"),
        ("gru", {"epochs": -1}, "epochs.* = -1: .*greater than or equal to 0"),
        ("gru", {"dim": 7}, "dim.* = 7: .*multiple of 2"),
        ("gru", {"learning_rate": 0}, "learning_rate.* = 0: .*greater than 0"),
        ("word2vec", {"dim": 0}, "dim.* = 0: .*greater than or equal to 1"),
        ("fasttext", {"epochs": 0}, "epochs.* = 0: .*greater than or equal to 1"),
        ("use", {"dim": 3}, "encoder 'use' has no option 'dim'; it takes none$"),
        ("tests.encoders.test_catalog:Third", {}, "needs the option 'size'"),
    ],
)
def test_bad_options_name_the_key(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build(name, options)


def test_unknown_names_come_with_the_nearest() -> None:
    with pytest.raises(UnknownEncoderError, match="did you mean 'fasttext'") as caught:
        resolve("fastext")
    assert caught.value.near[0] == "fasttext"
    with pytest.raises(UnknownEncoderError, match=r"no\.such\.module"):
        resolve("no.such.module:Class")
    with pytest.raises(UnknownEncoderError, match="Missing"):
        resolve("encoders.catalog:Missing")
    with pytest.raises(ValueError, match="not an encoder"):
        resolve("pathlib:Path")


def test_entry_points_are_found_and_double_claims_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("third", "tests.encoders.test_catalog:Third", catalog.GROUP)
    monkeypatch.setattr(catalog, "_installed", lambda: (point,))
    assert resolve("third") is Third
    assert "third" in names()
    monkeypatch.setattr(catalog, "_installed", lambda: (EntryPoint("gru", "tests.x:Y", catalog.GROUP),))
    with pytest.raises(ValueError, match="claimed more than once"):
        resolve("gru")
