"""What a live camera does to a picture, made on purpose: crops, hands, exposure, blur, compression, screen graphics.

Every function takes RGB uint8 (H, W, 3) and a random generator and gives a new picture; none knows about products,
pairs or nets. The same generator state gives the same picture.
"""

from __future__ import annotations

import cv2
import numpy as np

from shopcue.models.image import trim_margins
from shopcue.records import Floats, Image

Rng = np.random.Generator

_WHITE = 255
_SKIN: Floats = np.array([[224, 172, 140], [198, 134, 96], [141, 85, 54], [241, 204, 176], [92, 58, 40]], np.float32)


def shop_view(image: Image, rng: Rng) -> Image:
    """Return the picture as another shop would show it: a little wider or tighter, a little brighter, re-saved."""
    view = trim_margins(image)
    white = (_WHITE,) * 3
    border = int(rng.uniform(0, 0.18) * max(view.shape[:2]))
    if border:
        framed = cv2.copyMakeBorder(view, border, border, border, border, cv2.BORDER_CONSTANT, value=white)
        view = np.asarray(framed, np.uint8)
    return jpeg(exposed(crop_random(view, rng, 0.88), rng, 0.12), rng, 60)


def camera_view(image: Image, rng: Rng, least_share: float) -> Image:
    """Return the picture as a phone or a stream shows it. least_share: of each side that a crop keeps."""
    view = crop_random(image, rng, least_share)
    if rng.random() < 0.5:
        view = tilted(view, rng, 0.08)
    return degraded(view, rng)


def degraded(view: Image, rng: Rng) -> Image:
    """Return the view after hands, light, lens, encoder and graphics have had their way, each now and then."""
    if rng.random() < 0.35:
        view = with_hand(view, rng)
    view = exposed(view, rng, 0.4)
    if rng.random() < 0.35:
        view = tinted(view, rng)
    if rng.random() < 0.4:
        view = blurred(view, rng)
    if rng.random() < 0.35:
        view = coarse(view, rng)
    if rng.random() < 0.3:
        view = with_graphics(view, rng)
    return jpeg(view, rng, 25)


def placed(picture: Image, mask: Image, ground: Image, rng: Rng) -> Image:
    """Return `ground` with the picture in it: cut out by `mask`, in perspective, anywhere, at 35 to 95 % of the side.

    mask: uint8 (H, W), 255 where the product is. The view keeps the size of `ground`.
    """
    height, width = ground.shape[:2]
    scale = rng.uniform(0.35, 0.95) * min(height / picture.shape[0], width / picture.shape[1])
    size = np.array([picture.shape[1], picture.shape[0]], np.float32) * scale
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    target = (corners - 0.5) * size + rng.normal(0, 0.05, (4, 2)).astype(np.float32) * size
    angle = np.deg2rad(rng.normal(0, 12))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    room = np.maximum(np.array([width, height], np.float32) - size, 0) / 2
    centre = np.array([width, height], np.float32) / 2 + rng.uniform(-1, 1, 2).astype(np.float32) * room
    target = (target @ turn + centre).astype(np.float32)
    source = (corners * np.array([picture.shape[1], picture.shape[0]], np.float32)).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(source, target)
    warped = cv2.warpPerspective(picture, matrix, (width, height), flags=cv2.INTER_AREA)
    alpha = cv2.GaussianBlur(cv2.warpPerspective(mask, matrix, (width, height)), (3, 3), 0)[..., None] / np.float32(255)
    return np.asarray(warped * alpha + ground * (1 - alpha), np.uint8)


def cut_out(picture: Image, tolerance: int = 12) -> Image:
    """Return the mask of the product in a shop picture: the convex hull of all but the plain ground. uint8 (H, W).

    The hull, because the ground flows into white packs through their white print: what is left without it is lace.
    """
    height, width = picture.shape[:2]
    flooded = np.zeros((height + 2, width + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | 255 << 8
    for x, y in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        if picture[y, x].min() > 200 and not flooded[y + 1, x + 1]:
            cv2.floodFill(picture.copy(), flooded, (x, y), 0, (tolerance,) * 3, (tolerance,) * 3, flags)
    product = cv2.morphologyEx(255 - flooded[1:-1, 1:-1], cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    points = cv2.findNonZero(product)
    if points is None:
        return np.full((height, width), 255, np.uint8)
    return np.asarray(cv2.fillConvexPoly(np.zeros((height, width), np.uint8), cv2.convexHull(points), 255), np.uint8)


def recoloured(images: tuple[Image, Image], degrees: float) -> tuple[Image, Image]:
    """Return both pictures with their hues turned alike: two views of a product that does not exist, a twin."""
    turned = []
    for image in images:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + round(degrees / 2)) % 180
        turned.append(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8))
    return turned[0], turned[1]


def edited(picture: Image, mask: Image, patch: Image, rng: Rng) -> Image:
    """Return the picture of a sister product: the same pack with two to four parts of its print changed.

    mask: uint8 (H, W), 255 where the product is. patch: a picture to print on it. A part is turned in hue, mirrored,
    covered by the patch, or written on. An encoder that is to tell sisters apart must read the print.
    """
    view = picture.copy()
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return view
    tall, wide = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    for _ in range(int(rng.integers(2, 5))):
        h, w = int(rng.uniform(0.15, 0.45) * tall) + 1, int(rng.uniform(0.3, 0.9) * wide) + 1
        y, x = int(rows[0] + rng.integers(0, tall - h + 1)), int(columns[0] + rng.integers(0, wide - w + 1))
        part = np.ascontiguousarray(view[y : y + h, x : x + w])
        kind = int(rng.integers(4))
        if kind == 0:
            part = recoloured((part, part), float(rng.uniform(40, 320)))[0]
        elif kind == 1:
            part = part[::-1, ::-1]
        elif kind == 2:
            part = np.asarray(cv2.resize(crop_random(patch, rng, 0.3), (w, h), interpolation=cv2.INTER_AREA), np.uint8)
        else:
            _write(part, rng)
        inside = mask[y : y + h, x : x + w, None] > 0
        view[y : y + h, x : x + w] = np.where(inside, part, view[y : y + h, x : x + w])
    return view


def crop_random(image: Image, rng: Rng, least_share: float) -> Image:
    """Return a random part that keeps at least `least_share` of each side; both sides differ, so the aspect varies."""
    height, width = image.shape[:2]
    share = rng.uniform(least_share, 1)
    shares = np.clip(share * np.exp(rng.normal(0, 0.08, 2)), least_share, 1)
    h, w = max(8, int(height * shares[0])), max(8, int(width * shares[1]))
    y, x = int(rng.integers(0, max(height - h, 0) + 1)), int(rng.integers(0, max(width - w, 0) + 1))
    return image[y : y + h, x : x + w]


def tilted(image: Image, rng: Rng, spread: float) -> Image:
    """Return the picture under a small change of perspective and rotation; borders are mirrored."""
    height, width = image.shape[:2]
    size = np.array([width, height], np.float32)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * size
    angle = np.deg2rad(rng.normal(0, 7))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    target = (corners - size / 2) @ turn + size / 2 + rng.normal(0, spread, (4, 2)) * size * 0.6
    matrix = cv2.getPerspectiveTransform(corners, target.astype(np.float32))
    return np.asarray(cv2.warpPerspective(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8)


def exposed(image: Image, rng: Rng, strength: float) -> Image:
    """Return the picture under another exposure: gamma and gain, `strength` is their spread."""
    gamma, gain = np.exp(rng.uniform(-strength, strength)), np.exp(rng.uniform(-strength, strength) * 0.7)
    return _mapped(image, (_levels() ** gamma * gain)[:, None].repeat(3, axis=1))


def tinted(image: Image, rng: Rng) -> Image:
    """Return the picture under a light of another colour, channel by channel."""
    return _mapped(image, _levels()[:, None] * np.exp(rng.normal(0, 0.1, 3)))


def blurred(image: Image, rng: Rng) -> Image:
    """Return the picture out of focus or moved during the exposure."""
    if rng.random() < 0.5:
        return np.asarray(
            cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 0.6 + 0.012 * max(image.shape[:2]))), np.uint8
        )
    length = int(rng.integers(3, max(4, image.shape[1] // 22)))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    matrix = cv2.getRotationMatrix2D((length / 2 - 0.5, length / 2 - 0.5), rng.uniform(0, 180), 1)
    turned = cv2.warpAffine(kernel, matrix, (length, length))
    weights: Floats = np.asarray(turned / max(float(turned.sum()), 1e-6), np.float32)
    return np.asarray(cv2.filter2D(image, -1, weights), np.uint8)


def coarse(image: Image, rng: Rng) -> Image:
    """Return the picture as if it had been small in the frame: shrunk and enlarged again."""
    side = int(rng.integers(48, 128))
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR), np.uint8)


def jpeg(image: Image, rng: Rng, worst: int) -> Image:
    """Return the picture after a lossy save of a quality between `worst` and 95."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(worst, 96))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def with_hand(image: Image, rng: Rng) -> Image:
    """Return the picture with two to four fingers of one skin colour that reach in from a border."""
    view = image.copy()
    height, width = view.shape[:2]
    colour = _SKIN[rng.integers(len(_SKIN))] * rng.uniform(0.6, 1.1)
    side, along = int(rng.integers(4)), rng.uniform(0.15, 0.85)
    thickness = int(rng.uniform(0.07, 0.13) * min(height, width)) + 1
    for finger in range(int(rng.integers(2, 5))):
        at, reach = along + (finger - 1.5) * 1.15 * thickness / min(height, width), rng.uniform(0.12, 0.38)
        ends = np.array([[-0.1, at], [reach, at + rng.normal(0, 0.04)]])
        if side % 2:
            ends = ends[:, ::-1]
        if side >= 2:
            ends = 1 - ends
        points = (ends * (width, height)).astype(int)
        shade = [float(value) for value in np.clip(colour * rng.uniform(0.92, 1.06), 0, 255)]
        cv2.line(view, tuple(points[0].tolist()), tuple(points[1].tolist()), shade, thickness, cv2.LINE_AA)
    return view


def with_graphics(image: Image, rng: Rng) -> Image:
    """Return the picture with what a stream lays over it: a price bar, a chat box, a badge."""
    view = image.copy()
    height, width = view.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        w, h = int(rng.uniform(0.15, 0.7) * width), int(rng.uniform(0.05, 0.16) * height) + 2
        x, y = int(rng.uniform(0, 1) * max(1, width - w)), int(rng.choice([0, 1]) * (height - h) * rng.uniform(0.8, 1))
        colour = rng.integers(0, 256, 3).astype(np.float32)
        part, cover = view[y : y + h, x : x + w], rng.uniform(0.5, 1)
        view[y : y + h, x : x + w] = (part * (1 - cover) + colour * cover).astype(np.uint8)
        text = "".join(chr(rng.integers(48, 91)) for _ in range(int(rng.integers(3, 12))))
        ink = [255.0 if colour.mean() < 128 else 0.0] * 3
        cv2.putText(view, text, (x + 2, y + h - 3), cv2.FONT_HERSHEY_SIMPLEX, h / 40, ink, 1, cv2.LINE_AA)
    return view


def _write(part: Image, rng: Rng) -> None:
    """Write a word of a random colour into `part`, in place."""
    height = part.shape[0]
    word = "".join(chr(rng.integers(65, 91)) for _ in range(int(rng.integers(2, 6))))
    ink = [float(value) for value in rng.integers(0, 256, 3)]
    thickness = max(1, height // 12)
    cv2.putText(part, word, (1, height - 3), cv2.FONT_HERSHEY_DUPLEX, height / 32, ink, thickness, cv2.LINE_AA)


def _levels() -> Floats:
    return np.linspace(0, 1, 256, dtype=np.float32)


def _mapped(image: Image, curves: Floats) -> Image:
    """Return the picture through one curve a channel. curves: (256, 3), 0..1."""
    table = np.clip(np.asarray(curves) * 255, 0, 255).astype(np.uint8)[None]
    return np.asarray(cv2.LUT(image, table), np.uint8)
