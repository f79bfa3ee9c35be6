"""Successive halving: of many networks a little training each, of few of them much.

Each rung trains the networks that are left, each anew and with a whole schedule of its
own; the best quarter goes on to the next, which is four times as long (Jamieson &
Talwalkar, AISTATS 2016; a share of 1/4 as in Hyperband, Li et al., JMLR 2018, section
3). The last rung is the training in full, so the best network of it is trained already.
"""

from typing import NamedTuple

SHARE = 4
"""One in so many networks goes on, to trainings so many times as long."""


class Rung(NamedTuple):
    """How many networks enter a rung, and how long each is trained in it."""

    networks: int
    epochs: int


def rungs(networks: int, epochs: int) -> tuple[Rung, ...]:
    """The rungs from `networks` down to one that is left; the last lasts `epochs`.

    >>> [tuple(rung) for rung in rungs(16, 40)], rungs(1, 40)
    ([(16, 10), (4, 40)], ())
    """
    sizes = []
    while networks > 1:
        sizes.append(networks)
        networks = -(-networks // SHARE)
    last = len(sizes) - 1
    return tuple(
        Rung(size, max(1, round(epochs / SHARE ** (last - place))))
        for place, size in enumerate(sizes)
    )


def trainings(networks: int, epochs: int) -> float:
    """What all rungs cost, in trainings of `epochs` epochs, the best one's among them.

    >>> trainings(16, 40), trainings(1, 40)
    (8.0, 1.0)
    """
    if networks == 1:
        return 1.0
    return sum(one.networks * one.epochs for one in rungs(networks, epochs)) / epochs
