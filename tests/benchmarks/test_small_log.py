"""A small log has whole queries, about as many pairs as asked for, and none of the queries that judge."""

import numpy as np

from benchmarks.home_depot import Judged
from benchmarks.small_log import ASKED, small_log


def test_a_small_log_knows_none_of_the_queries_that_judge() -> None:
    rng = np.random.default_rng(0)
    query = np.repeat(np.arange(200), rng.integers(1, 16, 200))
    judged = Judged(
        queries=[f"q{n}" for n in range(200)],
        titles=[f"t{n}" for n in range(len(query))],
        query=query,
        title=np.arange(len(query)),
        grade=rng.choice([1.0, 2.0, 3.0], len(query)),
    )
    logs = [small_log(judged, 300, seed) for seed in range(2)]
    judges = {judged.queries[n] for n in np.flatnonzero(judged.folds() == ASKED)}
    sizes = dict(zip(judged.queries, np.bincount(query), strict=True))
    for log in logs:
        assert not judges & set(log.queries)
        assert 300 <= len(log.query) < 316
        assert [sizes[text] for text in log.queries] == np.bincount(log.query).tolist()
    assert set(logs[0].queries) != set(logs[1].queries)
