"""Pictures from strangers: every mode becomes RGB, and nothing leaves its folder or its limits."""

import os
import struct
import zlib
from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PilImage

from shopcue.catalog.pictures import MAX_BYTES, decode_picture, load_picture, read_picture, resolve_inside, shrink
from shopcue.errors import MediaError, ShopcueError, UnsafeAddress

RED = (200, 30, 40)


def encoded(pixels: PilImage.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    pixels.save(out, kind, **options)
    return out.getvalue()


def scene() -> PilImage.Image:
    """A picture whose four quarters differ: red, green / blue, grey."""
    image = np.zeros((32, 48, 3), np.uint8)
    image[:16, :24], image[:16, 24:] = RED, (20, 180, 60)
    image[16:, :24], image[16:, 24:] = (10, 60, 190), (128, 128, 128)
    return PilImage.fromarray(image)


def near(image: np.ndarray, expected: PilImage.Image, tolerance: int) -> bool:
    wanted = np.asarray(expected.convert("RGB"), np.int16)
    return image.shape == wanted.shape and float(np.abs(image.astype(np.int16) - wanted).mean()) <= tolerance


def png_header(width: int, height: int, body: bytes = b"") -> bytes:
    """A PNG that says it is `width` by `height`, 8-bit RGB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


# ---- decoding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_format(kind: str) -> None:
    data = encoded(scene(), kind)
    picture = decode_picture(data, "x")
    assert near(picture.image, scene(), 6)
    assert picture.image.dtype == np.uint8
    assert picture.sha256 == sha256(data).hexdigest()


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LA", "RGBA", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    kind = {"CMYK": "TIFF", "YCbCr": "JPEG"}.get(mode, "PNG")
    grey = mode in ("1", "L", "LA", "I;16")
    plain = PilImage.fromarray(np.full((20, 30, 3), 255 if grey else RED, np.uint8))
    if mode == "I;16":
        pixels = PilImage.fromarray(np.full((20, 30), 65535, np.uint16))
    elif mode == "P":
        pixels = plain.quantize(2)
    else:
        pixels = plain.convert(mode)
    assert near(decode_picture(encoded(pixels, kind), "x").image, plain, 3)


def test_sixteen_bit_grey_keeps_its_range() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(1, 256).repeat(4, axis=0)
    image = decode_picture(encoded(PilImage.fromarray(ramp), "PNG"), "x").image
    assert np.abs(image[0, :, 0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.full((4, 4), 40_000, ">u2"), 156),
        (np.full((4, 4), 40_000, np.int32), 156),
        (np.full((4, 4), 200, np.uint16), 200),
        (np.full((4, 4), 1, np.uint16), 1),
        (np.full((4, 4), 0.5, np.float32), 128),
        (np.full((2_000, 1_500), 0.5, np.float32), 128),
    ],
)
def test_deep_grey_takes_the_least_range_that_holds_it(values: np.ndarray, expected: int) -> None:
    image = decode_picture(encoded(PilImage.fromarray(values), "TIFF"), "x").image
    assert np.unique(image).tolist() == [expected]


def test_values_that_are_no_numbers_are_black() -> None:
    values = np.array([[np.nan, 1], [0.5, np.inf]], np.float32)
    image = decode_picture(encoded(PilImage.fromarray(values), "TIFF"), "x").image
    assert image[..., 0].tolist() == [[0, 255], [128, 0]]


def test_transparent_pixels_become_white() -> None:
    pixels = PilImage.new("RGBA", (10, 10), (0, 0, 0, 0))
    pixels.paste((*RED, 255), (0, 0, 5, 10))
    for kind in ("PNG", "WEBP", "TIFF"):
        image = decode_picture(encoded(pixels, kind, **({"lossless": True} if kind == "WEBP" else {})), "x").image
        assert tuple(image[5, 2]) == RED
        assert tuple(image[5, 8]) == (255, 255, 255)
    palette = PilImage.new("P", (10, 10), 1)
    palette.putpalette([0, 0, 0, *RED])
    palette.paste(0, (5, 0, 10, 10))
    image = decode_picture(encoded(palette, "GIF", transparency=0), "x").image
    assert tuple(image[5, 2]) == RED
    assert tuple(image[5, 8]) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_stand_upright(orientation: int, kind: str) -> None:
    # How a camera stores a scene, by the definition of the EXIF tag: where row 0 and column 0 of the file lie.
    turned: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = PilImage.Exif()
    exif[0x0112] = orientation
    stored = PilImage.fromarray(np.ascontiguousarray(turned[orientation](np.asarray(scene()))))
    assert near(decode_picture(encoded(stored, kind, exif=exif.tobytes()), "x").image, scene(), 6)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    rest = [PilImage.new("RGB", (48, 32), "black")] * 3
    assert near(decode_picture(encoded(scene(), kind, save_all=True, append_images=rest), "x").image, scene(), 6)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_large_pictures_are_shrunk(kind: str) -> None:
    picture = decode_picture(encoded(scene().resize((4800, 3200), PilImage.Resampling.NEAREST), kind), "x")
    assert picture.image.shape == (683, 1024, 3)
    assert picture.scale == 1024 / 4800
    assert np.abs(picture.image[100, 100].astype(int) - RED).max() <= 3


def test_a_line_of_pixels_is_a_picture() -> None:
    assert decode_picture(encoded(PilImage.new("RGB", (20_000, 1), RED), "PNG"), "x").image.shape == (1, 1024, 3)


# ---- damage and bombs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_truncated_picture_is_refused(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(PilImage.fromarray(noise), kind)
    with pytest.raises(MediaError, match="damaged"):
        decode_picture(data[: len(data) // 2], "half.jpg")


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"%PDF-1.4", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xd8\xff"]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(MediaError, match="expected a picture"):
        decode_picture(data, "x")


@pytest.mark.parametrize("size", [(6325, 6325), (10_000, 10_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_by_the_header(size: tuple[int, int]) -> None:
    with pytest.raises(MediaError, match="at most 40,000,000"):
        decode_picture(png_header(*size), "bomb.png")


def test_a_decompression_bomb_is_refused_before_it_is_unpacked() -> None:
    """A hundred and fifty megabytes of zeros in as many kilobytes, of which the header tells the size."""
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(1 << 20)) for _ in range(150)) + packer.flush()
    with pytest.raises(MediaError, match="7200 x 7200 pixels"):
        decode_picture(png_header(7_200, 7_200, body), "bomb.png")


def test_exactly_the_limit_is_read() -> None:
    image = decode_picture(encoded(PilImage.new("L", (8_000, 5_000)), "PNG"), "x").image
    assert image.shape == (640, 1024, 3)


def test_too_many_bytes_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.bmp"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(MediaError, match="bytes, at most"):
        read_picture(path)
    with pytest.raises(MediaError, match="more than"):
        decode_picture(bytes(MAX_BYTES + 1), "x")


@given(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]), st.data())
def test_damaged_bytes_give_a_picture_or_an_error(kind: str, draw: st.DataObject) -> None:
    data = bytearray(encoded(scene(), kind))
    for _ in range(draw.draw(st.integers(1, 8))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        picture = decode_picture(bytes(data), "x")
    except MediaError:
        return
    assert picture.image.ndim == 3
    assert max(picture.image.shape) <= 1024


# ---- paths -------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A feed's folder with one picture in it and one outside of it."""
    folder = tmp_path / "shop"
    (folder / "images").mkdir(parents=True)
    scene().save(folder / "images" / "a.png")
    scene().save(tmp_path / "outside.png")
    return folder


@pytest.mark.parametrize("reference", ["images/a.png", "./images/a.png", "images/../images/a.png", "images\\a.png"])
def test_pictures_inside_the_folder_are_read(shop: Path, reference: str) -> None:
    assert load_picture(reference, shop).image.shape == (32, 48, 3)


def test_a_folder_given_by_a_relative_path(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop)
    assert load_picture("images/a.png", Path()).image.shape == (32, 48, 3)


@pytest.mark.parametrize(
    "reference",
    [
        "../outside.png",
        "images/../../outside.png",
        "..\\outside.png",
        "images\\..\\..\\outside.png",
        "/etc/passwd",
        "//server/share/a.png",
        "\\\\server\\share\\a.png",
        "C:\\a.png",
        "c:a.png",
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "ftp://host/a.png",
        "gs://bucket/a.png",
        "data:image/png;base64,AAAA",
        "images/a.png\x00.jpg",
        ".",
        "..",
        "",
        "images/..",
    ],
)
def test_paths_that_leave_the_folder_are_refused(shop: Path, reference: str) -> None:
    with pytest.raises(UnsafeAddress):
        load_picture(reference, shop)


def test_absolute_paths_are_refused_even_inside(shop: Path) -> None:
    with pytest.raises(UnsafeAddress, match="absolute"):
        load_picture(str(shop / "images" / "a.png"), shop)


def test_links_are_followed_only_inside(shop: Path) -> None:
    (shop / "inside.png").symlink_to("images/a.png")
    assert load_picture("inside.png", shop).image.shape == (32, 48, 3)
    (shop / "out.png").symlink_to("../outside.png")
    (shop / "up").symlink_to("..")
    (shop / "loop.png").symlink_to("loop.png")
    for reference in ("out.png", "up/outside.png", "up/shop/../outside.png", "loop.png"):
        with pytest.raises(UnsafeAddress):
            load_picture(reference, shop)


def test_a_folder_that_is_a_link_itself(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(shop)
    assert load_picture("images/a.png", tmp_path / "alias").image.shape == (32, 48, 3)


def test_a_sibling_with_the_same_beginning_is_outside(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "shop-secret").mkdir()
    with pytest.raises(UnsafeAddress):
        resolve_inside("../shop-secret/a.png", shop)


def test_missing_and_special_files(shop: Path) -> None:
    os.mkfifo(shop / "pipe.png")
    for reference, words in (("none.png", "cannot be read"), ("images", "directory"), ("pipe.png", "regular file")):
        with pytest.raises(MediaError, match=words):
            load_picture(reference, shop)
    with pytest.raises(ShopcueError):
        load_picture("x" * 5_000, shop)


def test_remote_pictures_need_a_fetcher(shop: Path) -> None:
    class Canned:
        def fetch(self, url: str) -> bytes:
            assert url == "HTTPS://shop.example/a.png"
            return encoded(scene(), "PNG")

    assert load_picture("HTTPS://shop.example/a.png", shop, Canned()).image.shape == (32, 48, 3)
    with pytest.raises(MediaError, match="switched off"):
        load_picture("https://shop.example/a.png", shop)


def test_shrink_keeps_small_pictures_and_the_shape_of_large_ones() -> None:
    image = np.asarray(scene())
    assert shrink(image, 48) is image
    assert shrink(image, 24).shape == (16, 24, 3)
    assert np.array_equal(shrink(image, 24)[2, 2], RED)
