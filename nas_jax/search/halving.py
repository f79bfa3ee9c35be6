"""Successive halving: of many networks a little training each, of few of them much.

Each rung trains the networks that are left, and the better half goes on to the next
with its weights, where the training is twice as long (Karnin et al., ICML 2013;
Jamieson & Talwalkar, AISTATS 2016). So n networks are compared for log2(n)
trainings in full, where training all of them would cost n.
"""

from typing import NamedTuple


class Rung(NamedTuple):
    """How many networks enter a rung, and how long each is trained in it."""

    networks: int
    epochs: int


def rungs(networks: int, epochs: int) -> tuple[Rung, ...]:
    """The rungs from `networks` down to two; the last lasts half of `epochs`.

    >>> [tuple(rung) for rung in rungs(8, 40)], rungs(1, 40)
    ([(8, 5), (4, 10), (2, 20)], ())
    """
    sizes = []
    while networks > 1:
        sizes.append(networks)
        networks = -(-networks // 2)
    last = len(sizes)
    return tuple(
        Rung(size, max(1, round(epochs / 2 ** (last - place))))
        for place, size in enumerate(sizes)
    )


def trainings(networks: int, epochs: int) -> float:
    """What all rungs cost, in trainings of `epochs` epochs.

    >>> trainings(8, 40)
    3.0
    """
    return sum(one.networks * one.epochs for one in rungs(networks, epochs)) / epochs
