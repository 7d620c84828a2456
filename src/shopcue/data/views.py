"""What a live camera does to a picture, made on purpose: crops, hands, exposure, blur, compression, screen graphics.

Every function takes RGB uint8 (H, W, 3) and a random generator and gives a new picture; none knows about products,
pairs or nets. The same generator state gives the same picture.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from shopcue.models.image import trim_margins
from shopcue.records import Floats, Image

Rng = np.random.Generator

_WHITE = 255
_ORDERS = ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))  # of the channels, all but the usual one
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


def placed(picture: Image, mask: Image, ground: Image, rng: Rng) -> tuple[Image, Floats]:
    """Return `ground` with the picture in it, and its box: cut out by `mask`, in perspective, anywhere, 35 to 95 %.

    mask: uint8 (H, W), 255 where the product is. The view keeps the size of `ground`, of whose sides the picture takes
    its share; the box, float32 (4,), is xyxy pixels of the view and holds the four corners of the picture.
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
    box: Floats = np.clip([*target.min(axis=0), *target.max(axis=0)], 0, [width, height] * 2).astype(np.float32)
    return np.asarray(warped * alpha + ground * (1 - alpha), np.uint8), box


def inks(rng: Rng) -> Callable[[Image], Image]:
    """Return what shows a picture in other inks: hues are turned, or channels change places, now and then reversed.

    Two pictures of one product in the same new inks are two views of a product that does not exist, a twin of the real
    one. White print and black print have no hue to turn; reversed, light is dark.
    """
    kind, turn = int(rng.integers(5)), int(rng.integers(20, 160))
    order = _ORDERS[int(rng.integers(len(_ORDERS)))]
    if kind < 2:
        return lambda image: hue_turned(image, 2 * turn)
    if kind < 4:
        return lambda image: np.ascontiguousarray(image[..., order])
    return lambda image: np.ascontiguousarray(255 - image[..., order])


def hue_turned(image: Image, degrees: float) -> Image:
    """Return the picture with all hues turned by an angle."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + round(degrees / 2)) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


def crop_random(image: Image, rng: Rng, least_share: float) -> Image:
    """Return a random part that keeps at least `least_share` of each side; both sides differ, so the aspect varies."""
    height, width = image.shape[:2]
    share = rng.uniform(least_share, 1)
    shares = np.clip(share * np.exp(rng.normal(0, 0.08, 2)), least_share, 1)
    h, w = max(8, int(height * shares[0])), max(8, int(width * shares[1]))
    y, x = int(rng.integers(0, max(height - h, 0) + 1)), int(rng.integers(0, max(width - w, 0) + 1))
    return image[y : y + h, x : x + w]


def crop_around(image: Image, box: Floats, rng: Rng) -> Image:
    """Return what a detector may cut out: the box, 0.85 to 1.5 times as large, a little aside, inside the picture.

    box: float32 (4,), xyxy pixels.
    """
    size, middle = box[2:] - box[:2], (box[:2] + box[2:]) / 2
    half = size / 2 * np.exp(rng.uniform(np.log(0.85), np.log(1.5)) + rng.normal(0, 0.06, 2))
    middle = middle + rng.uniform(-0.08, 0.08, 2) * size
    limits = np.array([image.shape[1], image.shape[0]])
    x0, y0 = np.clip(middle - half, 0, limits - 8).astype(int)
    x1, y1 = np.maximum(np.clip(middle + half, 0, limits).astype(int), (x0 + 8, y0 + 8))
    return image[y0:y1, x0:x1]


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


def _levels() -> Floats:
    return np.linspace(0, 1, 256, dtype=np.float32)


def _mapped(image: Image, curves: Floats) -> Image:
    """Return the picture through one curve a channel. curves: (256, 3), 0..1."""
    table = np.clip(np.asarray(curves) * 255, 0, 255).astype(np.uint8)[None]
    return np.asarray(cv2.LUT(image, table), np.uint8)
