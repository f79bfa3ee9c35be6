"""What a file is that is no picture of a format that is read, by its first bytes.

It gives the reason, and where there is one the cure, for the messages about it.
"""

HEAD = 1024
"""Bytes at the beginning of a file in which a kind shows itself."""
UNREAD = dict.fromkeys((".heic", ".heif", ".hif"), "HEIC") | {
    **dict.fromkeys((".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2"), "RAW"),
    **dict.fromkeys((".dng", ".orf", ".rw2", ".raf", ".pef", ".srw"), "RAW"),
    **dict.fromkeys((".x3f", ".3fr", ".iiq", ".erf", ".mrw", ".kdc"), "RAW"),
    **dict.fromkeys((".psd", ".psb"), "Photoshop"),
    **dict.fromkeys((".dcm", ".dicom", ".ima"), "DICOM"),
    **{".jxl": "JPEG XL", ".jxr": "JPEG XR", ".exr": "OpenEXR", ".xcf": "GIMP"},
    **{".hdr": "Radiance HDR", ".fits": "FITS", ".dds": "DDS", ".qoi": "QOI"},
}
"""Formats of pictures that are not read, by suffix. A RAW often opens as TIFF, with its
thumbnail in place of the picture."""
DRAWINGS = {".svg": "SVG", ".pdf": "PDF", ".eps": "EPS", ".ps": "EPS", ".ai": "PDF"}
"""Formats of drawings and documents, which may lie beside pictures."""
_CURES = {
    "HEIC": "a JPEG, as heif-convert or the Photos application exports",
    "RAW": "a JPEG or a 16-bit TIFF with a RAW developer, as darktable-cli does",
    "DICOM": "a PNG with the window you want, as dcm2img does",
}
_BRANDS = dict.fromkeys(("heic", "heix", "heim", "heis", "hevc", "hevx"), "HEIC") | {
    **dict.fromkeys(("mif1", "msf1"), "HEIC"),
    **{"avif": "AVIF", "avis": "AVIF", "crx ": "RAW"},
}
_SIGNATURES = (
    *((b"\xff\x0a", "JPEG XL"), (b"\0\0\0\x0cJXL ", "JPEG XL"), (b"8BPS", "Photoshop")),
    *((b"FUJIFILMCCD-RAW", "RAW"), (b"IIRO", "RAW"), (b"IIRS", "RAW")),
    *((b"MMOR", "RAW"), (b"IIU\0", "RAW"), (b"FOVb", "RAW"), (b"\0MRM", "RAW")),
    *((b"II\xbc", "JPEG XR"), (b"v/1\x01", "OpenEXR"), (b"gimp xcf", "GIMP")),
    *((b"#?RADIANCE", "Radiance HDR"), (b"#?RGBE", "Radiance HDR")),
    *((b"SIMPLE  =", "FITS"), (b"DDS ", "DDS"), (b"qoif", "QOI"), (b"%PDF", "PDF")),
    *((b"%!PS", "EPS"), (b"\xc5\xd0\xd3\xc6", "EPS")),
)
_OTHER = (
    (
        b"version https://git-lfs",
        "a git-lfs pointer: run git lfs pull",
    ),
    *((b"PK\3\4", "a ZIP archive"), (b"\x1f\x8b", "a gzip archive")),
    *((b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"Rar!", "a RAR archive")),
    *((b"BZh", "a bzip2 archive"), (b"\xfd7zXZ", "an xz archive")),
    *((b"\x1aE\xdf\xa3", "a video"), (b"\x93NUMPY", "a NumPy array")),
    *((b"\x89HDF", "an HDF5 file"), (b"PAR1", "a Parquet file")),
    *(
        (b"SQLite format 3", "a database"),
        (b"\x7fELF", "a program"),
        (b"MZ", "a program"),
    ),
)


def kind_of(content: bytes) -> str | None:
    """What a file is that does not open as a picture, with a cure; None if unknown.

    Args:
      content: of the file, or its first `HEAD` bytes.

    >>> kind_of(b"version https://git-lfs.github.com/spec/v1")
    'a git-lfs pointer: run git lfs pull'
    """
    head = content[:HEAD]
    if not head:
        return "an empty file"
    if not head.strip(b"\0"):
        return "nothing but zeros: copy or download it again"
    if head[4:8] == b"ftyp":
        brand = head[8:12].decode("latin-1")
        return unread(_BRANDS[brand]) if brand in _BRANDS else "a video"
    if head[8:10] == b"CR" and head[:2] == b"II":
        return unread("RAW")
    if head[8:12] == b"AVI ":
        return "a video"
    if head[128:132] == b"DICM":
        return unread("DICOM")
    for start, kind in _SIGNATURES:
        if head.startswith(start):
            return unread(kind)
    for start, kind in _OTHER:
        if head.startswith(start):
            return kind
    return _text(head)


def unread(kind: str) -> str:
    """A format that is not read, and what to make of the file.

    >>> unread("SVG")
    'SVG, which is not read: convert it to a PNG'
    """
    return f"{kind}, which is not read: convert it to {_CURES.get(kind, 'a PNG')}"


def _text(head: bytes) -> str | None:
    try:
        # the last character may be cut
        text = head.decode("utf-8-sig", "strict" if len(head) < HEAD else "ignore")
    except UnicodeDecodeError:
        return None
    if any(ord(one) < 32 and not one.isspace() for one in text):
        return None
    text = text.lower()
    if "<svg" in text:
        return unread("SVG")
    if "<html" in text or "<!doctype html" in text:
        return "a web page: the download failed, repeat it"
    if text.lstrip().startswith(("<?xml", "<")):
        return "XML"
    return "text"
