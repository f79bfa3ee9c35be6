"""How the report writes numbers: three or four digits that matter, and the unit."""

NBSP = "\u00a0"
ABSENT = "–"


def percent(share: float | None) -> str:
    """
    >>> percent(0.9731).replace(NBSP, " ")
    '97.3 %'
    """
    return ABSENT if share is None else f"{100 * share:.1f}{NBSP}%"


def whole_percent(share: float) -> str:
    """
    >>> whole_percent(0.305).replace(NBSP, " ")
    '30 %'
    """
    return f"{100 * share:.0f}{NBSP}%"


def decimals(value: float) -> str:
    """Three digits from 1 upwards, three decimals below.

    >>> [decimals(value) for value in (123.4, 12.34, 1.234, 0.1234, 0.01234, 0.001234)]
    ['123', '12.3', '1.23', '0.123', '0.0123', '0.00123']
    """
    size = abs(value)
    steps = ((100, 0), (10, 1), (1, 2), (0.1, 3), (0.01, 4))
    digits = next((digits for bound, digits in steps if size >= bound), 5)
    return f"{value:.{digits}f}"


def milliseconds(value: float | None) -> str:
    """
    >>> milliseconds(0.8125).replace(NBSP, " ")
    '0.812 ms'
    """
    return ABSENT if value is None else f"{decimals(value)}{NBSP}ms"


def ratio(value: float | None) -> str:
    """
    >>> ratio(1.876).replace(NBSP, " ")
    '1.88 ×'
    """
    return ABSENT if value is None else f"{value:.2f}{NBSP}×"


def count(value: int | None) -> str:
    """
    >>> [count(value).replace(NBSP, " ") for value in (640, 12_345, 4_081_793)]
    ['640', '12.3 k', '4.08 M']
    """
    if value is None:
        return ABSENT
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= size:
            return f"{decimals(value / size)}{NBSP}{unit}"
    return str(value)


def duration(seconds: float) -> str:
    """
    >>> [duration(value).replace(NBSP, " ") for value in (3.21, 75, 7384)]
    ['3.2 s', '1 min 15 s', '2 h 3 min']
    """
    if seconds < 60:
        return f"{seconds:.1f}{NBSP}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{NBSP}min {rest}{NBSP}s"
    return f"{minutes // 60}{NBSP}h {minutes % 60}{NBSP}min"
