"""Numbers of channels, rounded as mobile networks round them."""


def round_channels(channels: float, divisor: int = 8) -> int:
    """Nearest multiple of `divisor`, at least one, never more than 10 % below.

    >>> [round_channels(width) for width in (9.6, 17.92, 33, 1433.6)]
    [16, 24, 32, 1432]
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
