from nas_jax import cross_hardware
from nas_jax.config import LatencyConfig
from nas_jax.measure.device import Device


def test_ratios_by_hand():
    ours = {
        "mobilenet_v2": 10.0,
        "proxyless_gpu": 15.0,
        "proxyless_cpu": 12.5,
        "proxyless_mobile": 11.0,
    }
    rows = cross_hardware.table_of({"cpu": {"ms": ours}})
    by_name = {name: cells for name, *cells in rows[1:]}
    # gpu: 5.1 / 6.1, nothing here; cpu: no MobileNetV2 in the paper; mobile: 124 / 75
    assert by_name["proxyless_gpu"] == [
        *("5.1", "0.84", "-", "-"),
        *("204.9", "-", "15", "1.50"),
        *("124", "1.65", "-", "-"),
    ]
    assert by_name["mobilenet_v2"][4:8] == ["-", "-", "10", "1.00"]
    assert rows[0][1:5] == ("gpu: paper ms", "ratio", "here ms", "ratio")


def test_networks_are_measured_at_the_size_asked_for():
    sizes = []
    device = Device(
        name="made up",
        runtime="made up",
        version="1",
        part=lambda part: lambda: None,
        network=lambda one: sizes.append(one.stem.input_size) or (lambda: None),
        copy=lambda shape: lambda: None,
        per_call=2,
    )
    config = LatencyConfig(batch=1, repeats=3, loop_ms=1e-9)
    found = cross_hardware.measure(device, config, 64)
    assert list(found) == list(cross_hardware.PAPER_MS)
    assert sizes == [64] * 4 and min(found.values()) > 0
