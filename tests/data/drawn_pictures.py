"""Drawn scenes: a bar on a dark ground, flat or upright, of any colours, anywhere."""

import numpy as np
from PIL import Image, ImageDraw


def scene(seed, is_flat=True, side=80):
    """A picture as a user would draw it for a first try."""
    numbers = np.random.default_rng((int(is_flat), seed))
    ground, ink = numbers.integers(0, 90, 3), numbers.integers(150, 256, 3)
    picture = Image.new("RGB", (side, side), tuple(map(int, ground)))
    x, y = (int(place) for place in numbers.integers(side // 4, side // 2, 2))
    width, height = (side // 3, side // 10) if is_flat else (side // 10, side // 3)
    box = (x, y, x + width, y + height)
    ImageDraw.Draw(picture).rectangle(box, fill=tuple(map(int, ink)))
    return picture


def photograph(seed, side=128):
    """Noise whose amplitude falls with the frequency, as that of photographs does."""
    numbers = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    frequency[0, 0] = 1 / side

    def plane():
        spectrum = np.fft.fft2(numbers.normal(size=(side, side)))
        return np.fft.ifft2(spectrum / frequency**1.3).real

    common = plane()
    values = np.stack([common + plane() / 2 for _ in range(3)], axis=-1)
    values = 120 + 45 * (values - values.mean()) / values.std()
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def write_scenes(folder, count, is_flat=True, start=0, suffix=".png"):
    """`count` different scenes as files; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{n:03}{suffix}" for n in range(start, start + count)]
    for number, path in enumerate(paths, start):
        scene(number, is_flat).save(path)
    return paths


def write_two(root, count=24, start=0):
    """Two classes of so many scenes, flat and tall."""
    for name in ("flat", "tall"):
        write_scenes(root / name, count, name == "flat", start)
