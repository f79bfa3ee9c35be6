import pytest

from nas_jax.latency import tables
from nas_jax.networks import counts
from nas_jax.spaces import builders, keys, published
from nas_jax.spaces.parts import Classifier, NormConv


@pytest.mark.parametrize("preset", builders.PRESETS)
def test_keys_of_a_space_are_read_back(preset):
    parts = tables.required_parts(builders.PRESETS[preset]())
    assert len(parts) >= 40
    assert [keys.parse(part.key) for part in parts] == parts


@pytest.mark.parametrize("name", published.NAMES)
def test_keys_of_published_networks_are_read_back(name):
    parts = published.get(name).parts
    assert tuple(keys.parse(part.key) for part in parts) == parts


def test_what_a_key_says_by_hand():
    part = keys.parse("mb3_k5 14x14x80->7x7x192 s2")
    assert (part.op.name, part.in_channels, part.out_channels) == ("mb3_k5", 80, 192)
    assert (part.input_size, part.stride, part.shortcut) == (14, 2, False)
    # 1x1 up on 14x14, 5x5 on 7x7, 1x1 down
    assert counts.macs(part) == 80 * 240 * 196 + (25 * 240 + 240 * 192) * 49
    assert keys.parse("classifier 7x7x8->10") == Classifier(8, 10, 7)
    assert keys.parse("relu-conv_k3_g2 8x8x4->4x4x6 s2") == NormConv(
        4, 6, 2, 8, kernel=3, groups=2
    )


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "expected a key such as 'mb6_k3 14x14x80->14x14x80 s1 skip'"),
        ("mb6_k3 14x13x80->14x14x80 s1", "expected a key such as"),
        ("stem 8x8x3->8x8x4 s1 skip", "unknown operation 'stem'"),
        ("mb6_k3 14x14x80->14x14x80 s2", "expected an output side of 7 at stride 2, "),
        ("mb6_k4 14x14x80->14x14x80 s1", "unknown operation 'mb6_k4'"),
        ("mb6_k3 14x14x80->14x14x80 s0", "expected a key such as"),
        ("stem 0x0x3->0x0x8 s1", "expected a key such as"),
        ("conv_k3_g0 8x8x4->8x8x4 s1", "unknown operation"),
        (f"norm 8x8x{'9' * 5000}", "expected a key such as"),
        ("mb6_k101 14x14x80->14x14x80 s1", "unknown operation 'mb6_k101'"),
        ("nobodys 14x14x80->14x14x80 s1", "unknown operation 'nobodys'"),
    ],
)
def test_other_keys_are_refused(key, message):
    with pytest.raises(ValueError) as caught:
        keys.parse(key)
    assert message in str(caught.value)
