"""Pictures and archives of them, and what travels with an exported model."""

import gzip
import io
import tarfile
import zipfile

import numpy as np

from fuzz.case import reader, texts
from nas_jax.config.data import DataConfig
from nas_jax.data import cifar, companions, folder, pictures, preprocessing
from nas_jax.data.layouts import groupings, name_patterns
from nas_jax.data.layouts.listing import Row
from nas_jax.data.source import Item
from nas_jax.guidelines import difficulty
from tests.data import picture_files


def _arrays(where):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (30, 8, 8, 1), np.uint8), np.arange(30) % 3
    contents = []
    for save in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        save(stream, images=images, labels=labels)
        contents.append(stream.getvalue())
    return contents


@reader("images, .npz", "d.npz", "bytes", _arrays)
def _(where):
    difficulty.load(where / "d.npz")


def _members(where):
    with zipfile.ZipFile(io.BytesIO(_arrays(where)[0])) as archive:
        return [archive.read("images.npy"), archive.read("labels.npy")]


@reader("images, .npy in .npz", "images.npy", "bytes", _members)
def _(where):
    with zipfile.ZipFile(where / "d.npz", "w") as archive:
        archive.write(where / "images.npy", "images.npy")
        archive.writestr("labels.npy", _members(where)[1])
    difficulty.load(where / "d.npz")


FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "ICO", "PCX")


def _pictures(where):
    pixels = picture_files.pixels(12, 16)
    return [picture_files.encoded(pixels, form) for form in FORMATS] + [
        picture_files.encoded(pixels, "PNG", mode="RGBA"),
        picture_files.encoded(pixels, "PNG", mode="P"),
        picture_files.encoded(pixels, "TIFF", mode="F"),
        picture_files.encoded(pixels, "JPEG", mode="CMYK"),
    ]


@reader("pictures, training", "p.bin", "bytes", _pictures)
def _(where):
    item = Item((where / "p.bin").read_bytes(), 0, "p.bin")
    why = pictures.failure(item)
    small = pictures.cut(item, (8, 8, 3), lambda width, height: (0, 0, width, height))
    assert small.shape == (8, 8, 3) and why is None


@reader("pictures, predict", "p.bin", "bytes", _pictures)
def _(where):
    prepare = preprocessing.imagenet(8)
    found = preprocessing.read_images([where / "p.bin"], prepare)
    assert found.shape == (1, 8, 8, 3) and np.isfinite(found).all()


def _class_folders(where):
    for name in ("cat", "dog"):
        picture_files.write_class(where / "pictures" / name, 1)
    return _pictures(where)[:4]


@reader("pictures, folder", "pictures/cat/x", "bytes", _class_folders)
def _(where):
    for skip in (True, False):
        config = DataConfig(
            name="folder", path=str(where / "pictures"), skip_corrupt=skip
        )
        assert len(folder.load(config).train) in (2, 3)


def _label_files(where):
    picture_files.write_class(where / "pictures", 3)
    return [
        b"file,label,split\n000.jpg,cat,train\n001.jpg,dog,train\n002.jpg,cat,test\n",
        b"id;class\n000;1\n001;2\n002;2\n",
        b"image\tcat\tdog\n000\t1\t0\n001\t0\t1\n",
        b"000.jpg,cat\n001.jpg,dog\n",
    ]


@reader("labels of pictures, CSV", "pictures/labels.csv", "bytes", _label_files)
def _(where):
    _load_labels(where / "pictures" / "labels.csv")


def _label_objects(where):
    picture_files.write_class(where / "pictures", 3)
    return [
        b'[{"file": "000.jpg", "label": "cat"}, {"file": "001.jpg", "label": 1}]',
        b'{"000.jpg": "cat", "001.jpg": "dog"}',
    ]


@reader("labels of pictures, JSON", "pictures/labels.json", "json", _label_objects)
def _(where):
    _load_labels(where / "pictures" / "labels.json")


def _load_labels(path, **fields):
    config = DataConfig(name="folder", path=str(path), skip_corrupt=True, **fields)
    found = folder.load(config)
    assert 0 < len(found.train) <= 3
    assert all(map(found.groups.get, found.train.names)) or not fields


def _group_files(where):
    for name in ("cat", "dog"):
        picture_files.write_class(where / "pictures" / name, 1)
    return [
        b"file,label,who\ncat/000.jpg,cat,1\ndog/000.jpg,dog,2\n",
        b"who;id\np1;cat/000\np2;dog/000\n",
    ]


@reader("groups of pictures, CSV", "pictures/who.csv", "bytes", _group_files)
def _(where):
    _load_labels(where / "pictures", group_column="who")


_PATTERNS = texts(
    "{group}_{number}\n{label}_{}.jpg",
    "IMG_{group}_{number}.jpg\n{split}_{label}",
    "(?P<group>.*[0-9])[^0-9]+[0-9]{1,5}\n(?P<label>[A-Z]+).*",
    "{}/{group}_{}\n{label}/{}",
)


@reader("patterns of names", "words", "fields", _PATTERNS)
def _(where):
    words = (where / "words").read_bytes().decode("utf-8", "surrogateescape")
    group, _, label = words.partition("\n")
    rows = [Row(f"cat/{name}.jpg", "cat") for name in ("IMG_1_2", "IMG_1_3", "IMG_2_2")]
    config = DataConfig(name="folder", group_pattern=group, label_pattern=label)
    found = groupings.found(rows, config, where)
    assert len(found.of) == len(rows)
    name_patterns.matched(name_patterns.compiled(label), [row.name for row in rows])


_FEW = cifar.Layout("few.tar.gz", "few", ("a.bin",), ("b.bin",), "names.txt", 1, 2, 1)


def _archives(where):
    rng = np.random.default_rng(0)
    files = {"a.bin": 2, "b.bin": 1}
    contents = {
        name: b"".join(b"\1" + rng.bytes(cifar.PIXELS) for _ in range(count))
        for name, count in files.items()
    } | {"names.txt": b"cat\ndog\n"}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"few/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return [plain.getvalue()]


@reader("CIFAR archive", "few.tar", "bytes", _archives)
def _(where):
    # changed before it is compressed: gzip's own checksum would stop everything
    packed = where / "few.tar.gz"
    packed.write_bytes(gzip.compress((where / "few.tar").read_bytes(), 1, mtime=0))
    _read_cifar(packed)


@reader(
    "CIFAR archive, gzip",
    "few.tar.gz",
    "bytes",
    lambda where: [gzip.compress(_archives(where)[0], 1, mtime=0)],
)
def _(where):
    _read_cifar(where / "few.tar.gz")


def _read_cifar(packed):
    cifar.LAYOUTS["few"] = _FEW
    try:
        found = cifar.load("few", str(packed))
        assert len(found.train) == 2 and len(found.train.label_names) > 1
    finally:
        del cifar.LAYOUTS["few"]


def _companions(where):
    prepared = preprocessing.imagenet(8)
    companions.write(where, companions.Companions(("cat", "dog"), prepared))
    return [(where / companions.PREPROCESSING).read_bytes()]


@reader("preprocessing", companions.PREPROCESSING, "json", _companions)
def _(where):
    (where / "p.png").write_bytes(_PNG)
    found = companions.read(where)
    preprocessing.read_images([where / "p.png"], found.preprocessing)


_PNG = picture_files.encoded(picture_files.pixels(12, 16), "PNG")


def _labels(where):
    _companions(where)
    return [(where / companions.LABELS).read_bytes()]


@reader("labels", companions.LABELS, "bytes", _labels)
def _(where):
    assert companions.read(where).labels
