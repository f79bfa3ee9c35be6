"""The drawing of a network on its own: in a notebook, and as a file."""

from xml.etree import ElementTree

import pytest

from nas_jax import report
from nas_jax.spaces import published

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def network():
    return published.get("proxyless_gpu")


def boxes(root):
    """Of the blocks that are kept: fill, width, height; by kernel, in order."""
    return [
        (box.get("fill"), float(box.get("width")), float(box.get("height")))
        for box in root.iter(f"{SVG}rect")
        if (box.get("fill") or "").startswith("var(--k")
    ]


def test_file_is_an_image_by_itself_with_a_box_for_every_block(network, tmp_path):
    picture = report.draw(network)
    path = picture.save(tmp_path / "network.svg")
    root = ElementTree.parse(path).getroot()
    assert root.tag == f"{SVG}svg"
    assert "mb6_k7" in root.get("aria-label")
    (style,) = root.iter(f"{SVG}style")
    kept = [block for block in network.blocks if block.op.kind != "zero"]
    found = boxes(root)
    assert len(found) == len(kept)
    scale = max(width for _, width, _ in found) / 432  # channels of the widest block
    for block, (fill, width, height) in zip(kept, found, strict=True):
        colour = f"--k{block.op.kernel}"
        assert fill == f"var({colour})" and f"{colour}:#" in style.text
        assert width == pytest.approx(scale * block.out_channels, abs=0.01)
        is_tall = block.op.expansion == 6
        assert (height > 15) == is_tall


def test_notebook_shows_the_same(network, tmp_path):
    picture = report.draw(network)
    path = picture.save(tmp_path / "network.svg")
    assert picture._repr_html_() == path.read_text(encoding="utf-8").removesuffix("\n")


def test_predicted_times_stand_beside_the_parts(network):
    part = network.parts[0]
    assert ">1.25<" in report.draw(network, {part.key: 1.25}).svg
    assert ">ms<" not in report.draw(network).svg


def test_wrong_or_existing_files_are_refused(network, tmp_path):
    picture = report.draw(network)
    with pytest.raises(ValueError, match=r"ends in \.svg"):
        picture.save(tmp_path / "network.png")
    path = picture.save(tmp_path / "network.svg")
    with pytest.raises(ValueError, match="expected a new file"):
        picture.save(path)
