"""The last step of the interest model: combinations for items that are known, and for those that are new."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from raysys.interest.combination import Combination
from raysys.interest.combine import Aim, Contest, combine
from raysys.interest.examples import Examples
from raysys.interest.newness import worth
from raysys.interest.pairs import Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class LastStep:
    """Combinations, one for each kind."""

    known: tuple[Combination, ...]
    new: tuple[Combination, ...]
    """For items that are new; their log odds may be compared with those of items that are known."""
    fresh: tuple[Combination, ...]
    """Both as they were compared: they know nothing of the people held out."""
    fresh_new: tuple[Combination, ...]
    contests: tuple[Contest, ...]

    @classmethod
    def of(
        cls, pairs: Pairs, kinds: tuple[str, ...], strength: float, seed: int, aim: Aim = "log_loss"
    ) -> Self:
        """Fitted on pairs; the new ones on items made new, and raised to what truly new ones are worth."""
        joined, made = Examples.joined(pairs.known), Examples.joined(pairs.made)
        known = combine(joined, kinds, strength, seed, aim)
        if len(np.unique(made.person)) < 2:  # nobody to compare on: they are combined like all others
            return cls(
                known=known.used,
                new=known.used,
                fresh=known.fresh,
                fresh_new=known.fresh,
                contests=known.contests,
            )
        new = combine(made, tuple(f"{kind}, new" for kind in kinds), strength, seed, aim)
        true = Examples.joined(pairs.new)
        odds = np.stack([one.log_odds(true.seen) for one in new.used], axis=1)
        raised = np.log(worth(true, odds, joined.weight @ joined.done)).tolist()
        return cls(
            known=known.used,
            new=_raised(new.used, raised),
            fresh=known.fresh,
            fresh_new=_raised(new.fresh, raised),
            contests=(*known.contests, *new.contests),
        )


def _raised(combinations: Sequence[Combination], by: Sequence[float]) -> tuple[Combination, ...]:
    return tuple(one.on_line(1.0, more) for one, more in zip(combinations, by, strict=True))
