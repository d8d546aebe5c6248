"""Where words end in text that is written without spaces (Chinese, Japanese, Thai)."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from raysys.errors import ConfigError
from raysys.text.normalize import pairs

Segment: TypeAlias = Callable[[str], Iterable[str]]
"""Splits a run of unsegmented characters; a part split again must stay whole."""


def segmenter(name: str) -> Segment:
    """The segmenter of this name: `pairs` needs nothing and reads every script, `jieba` knows Chinese words.

    Raises:
        ConfigError: there is none of this name, or its package is not installed.
    """
    match name:
        case "pairs":
            return pairs
        case "jieba":
            return _jieba()
    raise ConfigError(f"segmenter is {name!r}, expected 'pairs' or 'jieba'")


def _jieba() -> Segment:
    try:
        import rjieba
    except ImportError as error:
        raise ConfigError(
            "the segmenter is 'jieba' and rjieba is not installed;"
            " pip install 'raysys[chinese]', or use 'pairs'"
        ) from error
    # without guesses for unknown words (hmm), the best split of a text splits none of its words again
    return lambda run: rjieba.cut(run, False)
