"""Attention that depends on how far two subwords lie apart, as in MPNet (Song et al. 2020, arXiv:2004.09297).

The model holds one number for each head and each of some buckets of distances (Raffel et al. 2020, T5): every distance
up to a quarter of the buckets, then ever wider ones. Here it is one for each head and distance, which needs no buckets
to read.
"""

from __future__ import annotations

import numpy as np

from encoders.features import FloatArray

REACH = 128  # distances beyond count as this one


def by_distance(buckets: FloatArray) -> FloatArray:
    """[2 * REACH + 1, h]: what h heads add to the score of a key -REACH to REACH places to the right of the query.

    `buckets` [n, h] is the model's table: the first half for keys to the left, the second for those to the right.
    """
    half = len(buckets) // 2
    exact = half // 2
    apart = np.arange(1, REACH + 1)
    wide = exact + (np.log(apart / exact) / np.log(REACH / exact) * (half - exact)).astype(np.int64)
    bucket = np.where(apart < exact, apart, np.minimum(wide, half - 1))
    found: FloatArray = buckets[np.concatenate([bucket[::-1], [0], half + bucket])]
    return found
