"""The last step of the interest model: combinations for items that are known, and for those that are new."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from raysys.interest.combination import Average, Combination
from raysys.interest.combine import Aim, Combined, Contest, combine, held_out
from raysys.interest.examples import Examples
from raysys.interest.lines import line_through
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
        known = _combined(joined, kinds, strength, seed, aim)
        if len(np.unique(made.person)) < 2:  # nobody to compare on: they are combined like all others
            return cls(
                known=known.used,
                new=known.used,
                fresh=known.fresh,
                fresh_new=known.fresh,
                contests=known.contests,
            )
        new = _combined(made, tuple(f"{kind}, new" for kind in kinds), strength, seed, aim)
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


def _combined(examples: Examples, kinds: tuple[str, ...], strength: float, seed: int, aim: Aim) -> Combined:
    """What competed; an average that won has a line of its own.

    A mean of log odds is less sure than it could be, for its parts know different things (Ranjan and
    Gneiting 2010). Beside items that are combined by something else, that would count.
    """
    found = combine(examples, kinds, strength, seed, aim)
    check = examples.of(np.isin(examples.person, held_out(examples.person, seed)))
    used, fresh = list(found.used), list(found.fresh)
    for number, one in enumerate(found.fresh):
        if isinstance(one, Average):
            line = line_through(one.log_odds(check.seen), check.done[:, number], check.weight)
            used[number], fresh[number] = found.used[number].on_line(*line), one.on_line(*line)
    return Combined(tuple(used), found.contests, tuple(fresh))
