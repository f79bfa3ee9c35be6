"""What lies beside pictures is left out and counted; what should be one is named."""

import os
from pathlib import Path

import pytest

from nas_jax.config.data import DataConfig
from nas_jax.data import folder, foreign, pictures
from nas_jax.data.layouts import tree
from nas_jax.data.source import Item
from tests.data.picture_files import encoded, pixels, write_class


@pytest.fixture
def root(tmp_path):
    """cat and dog, 3 pictures each."""
    for seed, name in enumerate(("cat", "dog")):
        write_class(tmp_path / "p" / name, 3, seed=100 * seed)
    return tmp_path / "p"


def load(root, **changes):
    return folder.load(DataConfig(name="folder", path=str(root), **changes))


def refused(root):
    with pytest.raises(ValueError) as error:
        load(root)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_systems_and_tools_leave_never_stops_a_run(root):
    beside = (
        *(
            "Thumbs.db",
            "cat/Thumbs.db",
            "cat/desktop.ini",
            ".DS_Store",
            "cat/._000.jpg",
        ),
        *("cat/000.xml", "cat/000.txt", "dog/labels.csv", "dog/a.json", "README.md"),
        *("dog/clip.mp4", "dog/sums.md5", "dog/000.jpg.json", "LICENSE", "plan.pdf"),
        *("cat/Icon\r", ".ipynb_checkpoints/000.jpg", "docs/notes.txt"),
    )
    for name in beside:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"\x00\x05\x16\x07")
    for system in ("__MACOSX", "cat/@eaDir"):
        write_class(root / system, 2)
    data = load(root)
    assert len(data.train) == 6 and data.train.label_names == ("cat", "dog")
    _, note = data.notes
    assert note.startswith("left out, no pictures: ")
    for part in (
        "2 .db",
        "2 .txt",
        "1 .xml",
        "2 .json",
        "5 hidden",
        "2 without a suff",
    ):
        assert part in note
    assert "1 .pdf (PDF, which is not read: convert it to a PNG)" in note


def test_pictures_are_known_by_content_where_the_suffix_is_none(root):
    (root / "cat" / "by_id").write_bytes(encoded(pixels()))
    (root / "cat" / "photo.jpg_large").write_bytes(encoded(pixels(seed=1), "PNG"))
    (root / "cat" / "photo.jpeg!d").write_bytes(encoded(pixels(seed=2), "WEBP"))
    (root / "cat" / "unknown.zzz").write_bytes(b"no picture")
    assert load(root).train.labels.tolist() == [0] * 6 + [1] * 3


def test_only_files_of_unknown_suffix_are_opened(root, monkeypatch):
    (root / "cat" / "by_id").write_bytes(encoded(pixels()))
    opened = []

    def begins(path):
        opened.append(Path(path).name)
        return True

    monkeypatch.setattr(tree, "_begins", begins)
    assert len(tree.walk(root).pictures) == 7
    assert opened == ["by_id"]


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.heic", HEIC, "HEIC"),
        ("a.HEIF", HEIC, "HEIC"),
        ("a.jxl", b"\xff\x0a", "JPEG XL"),
        ("a.CR2", b"II*\0\x10\0\0\0CR", "RAW"),
        ("a.nef", b"MM\0*", "RAW"),
        ("a.dng", encoded(pixels(), "TIFF"), "RAW"),
        ("a.psd", b"8BPS", "Photoshop"),
        ("a.dcm", bytes(128) + b"DICM", "DICOM"),
    ],
)
def test_formats_that_are_not_read_are_named_with_a_cure(root, name, content, kind):
    (root / "cat" / name).write_bytes(content)
    line = refused(root)
    assert f"1 of 7 pictures cannot be used: cat/{name} ({foreign.unread(kind)}); " in (
        line
    )
    data = load(root, skip_corrupt=True)
    assert len(data.train) == 6
    assert data.notes[1].startswith(f"left out: {root}: 1 of 7 pictures cannot be used")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (bytes(2000), "nothing but zeros: copy or download it again"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1",
            "a git-lfs point",
        ),
        (b"\n<!DOCTYPE html><html><body>404", "a web page: the download failed"),
        (b'{"error": "not found"}', "text"),
        ("größer".encode(), "text"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "XML"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG, which is not read: conv"),
        (HEIC, "HEIC, which is not read: convert it to a JPEG, as heif-convert"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL, which is not read"),
        (b"\0\0\0\x18ftypcrx ", "RAW, which is not read"),
        (b"\0\0\0\x18ftypisom", "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"\x1aE\xdf\xa3", "a video"),
        (b"8BPS\0\1", "Photoshop, which is not read"),
        (b"%PDF-1.4", "PDF, which is not read"),
        (b"%!PS-Adobe", "EPS, which is not read"),
        (bytes(127) + b"\1DICM", "DICOM, which is not read: convert it to a PNG with"),
        (b"PK\3\4", "a ZIP archive"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"\x93NUMPY\1\0", "a NumPy array"),
        (b"\x89HDF\r\n", "an HDF5 file"),
    ],
)
def test_what_is_called_a_picture_and_is_none_has_its_reason(root, content, reason):
    (root / "cat" / "a.jpg").write_bytes(content)
    assert pictures.failure(Item(content, 0, "a.jpg")).startswith(reason)
    assert f"pictures do not decode: {root}/cat/a.jpg ({reason}" in refused(root)
    assert len(load(root, skip_corrupt=True).train) == 6


def test_what_is_not_known_has_no_kind():
    assert foreign.kind_of(b"\x81\x82\x83 anything") is None
    cut = ("a" * 1023 + "ß").encode()  # a letter lies on the border
    assert foreign.kind_of(cut) == "text"


@pytest.mark.skipif(os.name == "nt", reason="no such links and names there")
def test_files_that_cannot_be_read_are_named_each_in_one_line(root, monkeypatch):
    (root / "cat" / "link.jpg").symlink_to(root / "nowhere.jpg")
    (root / "cat" / "link.png").symlink_to("link.png")
    os.mkfifo(root / "dog" / "pipe.jpg")
    Path(os.fsdecode(os.fsencode(root) + b"/dog/\xff.jpg")).write_bytes(b"x")
    (root / "dog" / ("long" * 62 + ".jpg")).write_bytes(encoded(pixels()))
    (root / "dog" / "secret.jpg").write_bytes(encoded(pixels(seed=5)))
    may_read = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: "secret" not in path and may_read(path, mode)
    )
    line = refused(root)
    assert "5 of 12 pictures cannot be used: cat/link.jpg (a link to nothing), " in line
    assert "cat/link.png (a link to nothing)" in line
    assert "dog/pipe.jpg (no regular file)" in line
    assert "dog/secret.jpg (you may not read it: change its permissions)" in line
    assert "dog/\\udcff.jpg (a name that is not UTF-8: rename it)" in line
    data = load(root, skip_corrupt=True)
    assert len(data.train) == 7
    (root / "dog" / "000.jpg").unlink()
    with pytest.raises(ValueError, match=r"000.jpg: expected a picture, cannot be re"):
        [data.train[index] for index in range(7)]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_followed_and_circles_have_an_end(root):
    (root / "cat" / "up").symlink_to(root)
    (root / "bird").symlink_to(root / "dog")
    assert len(tree.walk(root).pictures) == 9


def test_a_folder_that_may_not_be_read_is_refused(root, monkeypatch):
    def scandir(folder):
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert refused(root) == (
        f"{root}: expected a folder that can be read, got Permission denied; change "
        "its permissions"
    )


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
@pytest.mark.parametrize("name", ["two\nlines", "two\u2028lines", " cat", "\udcff"])
def test_labels_that_are_no_line_are_refused(root, name):
    write_class(root / name, 3)
    assert "expected " in refused(root) and "rename it" in refused(root)
