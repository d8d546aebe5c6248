"""A query and a text as the tokens of one sequence."""

from collections.abc import Sequence

MOST_TOKENS = 96
"""Of a pair; what a longer text says after that is not read."""


def joined(query: Sequence[int], text: Sequence[int]) -> tuple[list[int], list[int]]:
    """Token ids (T,) of a pair, and 1 (T,) where the text stands.

    Args:
        query: ids of the query as it is read alone, with its first and last special token.
        text: those of the text; its first special token is left out, as pairs are written.
    """
    ids = [*query, *text[1:]][:MOST_TOKENS]
    start = min(len(query), MOST_TOKENS)
    return ids, [0] * start + [1] * (len(ids) - start)
