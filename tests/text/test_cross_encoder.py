"""A pair is read alike in any company, and a file that is no cross-encoder is refused."""

from pathlib import Path

import numpy as np
import pytest

from raysys.errors import BundleError
from raysys.text.cross_encoder import Blend, CrossEncoder
from raysys.text.export import export_pairs
from raysys.text.pairs import MOST_TOKENS, joined
from tests.small import TEXTS, small_encoder
from tuning.cross_encoder import reader_of


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    reader = reader_of(small_encoder(tmp_path_factory.mktemp("small"), MOST_TOKENS))
    return export_pairs(reader.network, reader.tokenizer, tmp_path_factory.mktemp("cross") / "served")


def test_a_score_does_not_depend_on_its_company(exported: Path) -> None:
    texts = [*TEXTS, "a lamp with a much longer story " * 9]
    together = CrossEncoder.load(exported).relevance("red lamp", texts)
    alone = [CrossEncoder.load(exported).relevance("red lamp", [text])[0] for text in texts[-3:]]
    np.testing.assert_array_equal(alone, together[-3:])
    again = CrossEncoder.load(exported)
    parts = [again.relevance("red lamp", part)[::-1] for part in (texts[19::-1], texts[20:][::-1])]
    np.testing.assert_array_equal(np.concatenate(parts), together)
    assert len(np.unique(together)) > 10


def test_what_was_read_is_kept_however_it_is_typed(exported: Path) -> None:
    cross = CrossEncoder.load(exported)
    assert cross.cached("red lamp", "blue lamp") is None
    found = cross.relevance("Red  LAMP", ["Blue lamp"])[0]
    assert cross.cached("red lamp", "blue  lamp") == found
    assert cross.cached("blue lamp", "red lamp") is None


def test_it_says_what_torch_says(tmp_path: Path) -> None:
    reader = reader_of(small_encoder(tmp_path))
    query, text = np.zeros(len(TEXTS), int), np.arange(len(TEXTS))
    with_gradients = reader.scores(["red lamp"], TEXTS, query, text)
    export_pairs(reader.network, reader.tokenizer, tmp_path / "fp32", quantize=False)
    served = CrossEncoder.load(tmp_path / "fp32").of_pairs(["red lamp"], TEXTS, query, text)
    np.testing.assert_allclose(served, np.clip(with_gradients, 0.0, 1.0), atol=0.02)  # bfloat16


def test_it_is_saved_with_its_say(exported: Path, tmp_path: Path) -> None:
    blend = Blend(plain=0.5, close=0.25, offset=0.1)
    CrossEncoder.load(exported).with_blend(blend).save(tmp_path / "saved")
    cross = CrossEncoder.load(tmp_path / "saved")
    assert cross.blend == blend
    np.testing.assert_allclose(cross.blend(np.array([0.2, 5.0]), np.array([1.0, 1.0])), [0.45, 1.0])


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "blend.json"])
def test_a_broken_or_absent_file_is_refused(exported: Path, tmp_path: Path, name: str) -> None:
    CrossEncoder.load(exported).save(tmp_path / "whole")
    (tmp_path / "whole" / name).write_bytes(b"\x00 no model")
    with pytest.raises(BundleError, match="learn it again"):
        CrossEncoder.load(tmp_path / "whole")
    (tmp_path / "whole" / name).unlink()
    with pytest.raises(BundleError, match="learn it again"):
        CrossEncoder.load(tmp_path / "whole")


def test_another_kind_of_model_is_refused(exported: Path, tmp_path: Path) -> None:
    from raysys.text.export import export_encoder

    export_encoder(small_encoder(tmp_path / "small"), tmp_path / "encoder")
    CrossEncoder.load(exported).save(tmp_path / "mixed")
    (tmp_path / "mixed" / "model.onnx").write_bytes((tmp_path / "encoder" / "model.onnx").read_bytes())
    with pytest.raises(BundleError, match="learn it again"):
        CrossEncoder.load(tmp_path / "mixed")


def test_a_pair_is_one_sequence_and_never_too_long() -> None:
    assert joined([1, 7, 2], [1, 8, 9, 2]) == ([1, 7, 2, 8, 9, 2], [0, 0, 0, 1, 1, 1])
    for query, text in (([1] * 200, [2] * 5), ([1] * 5, [2] * 200)):
        ids, second = joined(query, text)
        assert len(ids) == len(second) == MOST_TOKENS
