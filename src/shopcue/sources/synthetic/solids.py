"""Small renderer of packages: boxes as lit planes in perspective, round and soft things as lofts around an axis.

A pose is yaw and pitch in radians: yaw > 0 turns the right-hand side towards the viewer, pitch > 0 shows the top.
Pictures are RGBA with straight alpha, uint8 (H, W, 4); lengths are shares of the package's height.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shopcue.records import Floats, Image

_LIGHT = np.array([-0.42, 0.5, 0.76]) / np.linalg.norm([-0.42, 0.5, 0.76])
_HALFWAY = _LIGHT + np.array([0, 0, 1])
_HALF = _HALFWAY / np.linalg.norm(_HALFWAY)
_CAMERA_DISTANCE = 5.0
_MARGIN = 0.03


@dataclass(frozen=True, slots=True)
class Face:
    """A flat, printed piece: corners (4, 3) clockwise from the upper left, x right, y up, z to the viewer."""

    corners: tuple[tuple[float, float, float], ...]
    texture: Image


@dataclass(frozen=True, slots=True)
class Loft:
    """A body whose cross-section changes along its axis.

    heights: increasing from 0 (bottom) to 1; widths, depths: half sizes there. texture: RGB, wrapped around when
    `wrapped` (u = 0.5 is the front), else laid on from the front. cover: the colour of the lid, None for a body
    without one. gloss: strength of the highlight. squareness: 2 is round, more is boxier. wrinkles: of soft film.
    """

    heights: tuple[float, ...]
    widths: tuple[float, ...]
    depths: tuple[float, ...]
    texture: Image
    cover: tuple[int, int, int] | None = None
    wrapped: bool = True
    gloss: float = 0.35
    squareness: float = 2.0
    wrinkles: float = 0.0


def _rotation(yaw: float, pitch: float) -> NDArray[np.float64]:
    turn = np.array([[math.cos(yaw), 0, -math.sin(yaw)], [0, 1, 0], [math.sin(yaw), 0, math.cos(yaw)]])
    tilt = np.array([[1, 0, 0], [0, math.cos(pitch), math.sin(pitch)], [0, -math.sin(pitch), math.cos(pitch)]])
    return np.asarray((tilt.T @ turn).T)


def _scale(height_px: int, pitch: float, radius: float, near: float) -> float:
    """Return pixels per unit so that a solid of height 1 fits, whatever its yaw; radius: of its foot."""
    return height_px * (1 - 2 * _MARGIN) / (near * (math.cos(pitch) + 2 * radius * abs(math.sin(pitch))))


def _project(points: NDArray[np.float64], height_px: int, width_px: int, scale: float) -> Floats:
    """Return pixels of 3-D points in perspective, with the origin in the middle of the picture."""
    near = _CAMERA_DISTANCE / (_CAMERA_DISTANCE - points[..., 2])
    x = width_px / 2 + points[..., 0] * near * scale
    y = height_px / 2 - points[..., 1] * near * scale
    return np.stack([x, y], -1).astype(np.float32)


def render_faces(faces: Sequence[Face], height_px: int, yaw: float, pitch: float) -> Image:
    """Return a convex solid of printed planes, each lit by how it lies to the light."""
    rotation = _rotation(yaw, pitch)
    solid = [np.array(face.corners) @ rotation for face in faces]
    radius = max(math.hypot(x, z) for face in faces for x, _, z in face.corners)
    near = _CAMERA_DISTANCE / (_CAMERA_DISTANCE - radius)
    scale = _scale(height_px, pitch, radius, near)
    reach = max(float(np.abs(corners[:, 0]).max()) for corners in solid) * near * scale
    width_px = math.ceil(2 * (reach + _MARGIN * height_px))
    sheet = np.zeros((height_px, width_px, 4), np.uint8)
    order = np.argsort([corners[:, 2].mean() for corners in solid])
    for i in order:
        corners, texture = solid[i], faces[i].texture
        normal = np.cross(corners[3] - corners[0], corners[1] - corners[0])
        normal /= np.linalg.norm(normal) + 1e-9
        eye = np.array([0, 0, _CAMERA_DISTANCE]) - corners.mean(0)
        if normal @ eye > 0:
            _paste(sheet, texture, _project(corners, height_px, width_px, scale), _face_light(normal))
    return sheet


def _face_light(normal: NDArray[np.float64]) -> tuple[float, float]:
    """Return the brightness of a plane and how much it falls off downwards."""
    return 0.55 + 0.54 * max(float(normal @ _LIGHT), 0.0), 0.1


def _paste(sheet: Image, texture: Image, outline: Floats, lit: tuple[float, float]) -> None:
    height, width = texture.shape[:2]
    x0, y0 = np.maximum(np.floor(outline.min(0)).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(outline.max(0)).astype(int) + 2, (sheet.shape[1], sheet.shape[0]))
    local = (outline - (x0, y0)).astype(np.float32)
    size = (int(x1 - x0), int(y1 - y0))
    shrink = round(max(width / max(float(np.ptp(outline[:, 0])), 1), height / max(float(np.ptp(outline[:, 1])), 1)))
    source = cv2.blur(texture, (shrink, shrink)) if shrink > 1 else texture
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    homography = cv2.getPerspectiveTransform(corners, local)
    drawn = cv2.warpPerspective(source, homography, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    fall = np.linspace(1 + lit[1] / 2, 1 - lit[1], size[1], dtype=np.float32)[:, None, None] * lit[0]
    shaded = np.minimum(drawn * fall, 255)
    mask = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillPoly(mask, [np.round(local * 16).astype(np.int32)], (255,), cv2.LINE_AA, 4)
    part = sheet[y0:y1, x0:x1]
    # where nothing lies below, the print goes on unmixed: the sheet's alpha alone makes the edge smooth
    share = np.where(part[..., 3] == 0, mask > 0, mask / np.float32(255)).astype(np.float32)[..., None]
    part[..., :3] = part[..., :3] + (shaded - part[..., :3]) * share
    part[..., 3] = np.maximum(part[..., 3], mask)


def render_loft(body: Loft, height_px: int, yaw: float, pitch: float) -> Image:
    """Return a loft seen with a slight pitch; the print runs around it with the yaw.

    A pixel (x, y) shows the surface point at angle asin(x / width(h)), where the height h solves
    `y = h cos(pitch) - depth(h) cos(angle) sin(pitch)`: a few steps of a fixed point find it.
    """
    flat = 1.0 if body.wrapped else max(math.cos(yaw), 0.25)
    scale = _scale(height_px, pitch, max(body.depths), 1.0)
    width_px = math.ceil(2 * (max(body.widths) * scale + _MARGIN * height_px))
    x = ((np.arange(width_px, dtype=np.float32) + 0.5 - width_px / 2) / scale / flat)[None]
    y = (0.5 - (np.arange(height_px, dtype=np.float32) + 0.5 - height_px / 2) / scale)[:, None]
    h = np.broadcast_to(y, (height_px, width_px)).astype(np.float32)
    sin_pitch, cos_pitch = math.sin(pitch), math.cos(pitch)
    widths, depths = _table(body.heights, body.widths), _table(body.heights, body.depths)
    for _ in range(4):
        across = np.clip(np.abs(x) / np.maximum(_at(widths, h), 1e-4), 0, 1)
        bulge = (1 - across**body.squareness) ** (1 / body.squareness)
        h = ((y + _at(depths, h) * bulge * sin_pitch) / cos_pitch).astype(np.float32)
    wide = _at(widths, h)
    inside = np.minimum(wide - np.abs(x), np.minimum(h, 1 - h)) * scale / 1.2
    alpha = np.clip(inside + 0.5, 0, 1)
    shade, shine = _loft_light(body, x, h, wide, yaw)
    lit = _print(body, x, h, wide, yaw) * shade[..., None] + 255 * shine[..., None]
    if body.cover is not None:
        _put_lid(body, lit, alpha, x, y - cos_pitch, sin_pitch)
    return np.dstack([np.clip(lit, 0, 255), alpha * 255]).astype(np.uint8)


def _table(heights: Sequence[float], values: Sequence[float], entries: int = 1024) -> Floats:
    return np.interp(np.linspace(0, 1, entries), heights, values).astype(np.float32)


def _at(table: Floats, h: Floats) -> Floats:
    """Return the table's entry for each height; much faster than interpolating over a picture."""
    return table[np.clip(h * len(table), 0, len(table) - 1).astype(np.intp)]


def _put_lid(body: Loft, lit: Floats, alpha: Floats, x: Floats, y: Floats, sin_pitch: float) -> None:
    """Paint the top of a round body, which a viewer from above sees as an ellipse."""
    wide, deep = body.widths[-1], body.depths[-1] * max(sin_pitch, 1e-3)
    radius = np.hypot(x / wide, y / deep)
    share = np.clip((1 - radius) * deep / 0.004 + 0.5, 0, 1)[..., None]
    ring = 1.0 - 0.22 * np.exp(-(((radius - 0.86) / 0.05) ** 2)) + 0.16 * np.exp(-(((radius - 0.95) / 0.04) ** 2))
    tone = (ring * (0.98 - 0.12 * x / wide))[..., None] * np.array(body.cover, np.float32) + 14
    lit[:] = lit + (tone - lit) * share
    np.maximum(alpha, share[..., 0], out=alpha)


def _print(body: Loft, x: Floats, h: Floats, wide: Floats, yaw: float) -> Floats:
    rows, columns = body.texture.shape[:2]
    ratio = np.clip(x / np.maximum(wide, 1e-4), -1, 1)
    u = 0.5 + (np.arcsin(ratio) + yaw) / (2 * np.pi) if body.wrapped else 0.5 + x / (2 * max(body.widths))
    u = (u % 1 if body.wrapped else u) * np.ones_like(h)
    texture = body.texture
    blur = max(1, round(rows / h.shape[0] - 0.3))
    if blur > 1:
        texture = np.asarray(cv2.blur(texture, (blur, blur)), np.uint8)
    where = (u * columns).astype(np.float32), ((1 - h) * rows).astype(np.float32)
    border = cv2.BORDER_WRAP if body.wrapped else cv2.BORDER_REPLICATE
    return np.asarray(cv2.remap(texture, *where, cv2.INTER_LINEAR, borderMode=border), np.float32)


def _loft_light(body: Loft, x: Floats, h: Floats, wide: Floats, yaw: float) -> tuple[Floats, Floats]:
    """Return brightness and highlight of the surface, from its normals."""
    n = body.squareness
    across = np.clip(x / np.maximum(wide, 1e-4), -0.999, 0.999)
    front = np.maximum(1 - np.abs(across) ** n, 1e-3) ** (1 / n)
    flatness = float(np.clip(max(body.depths) / max(body.widths), 0.15, 1))
    nx = np.sign(across) * np.abs(across) ** (n - 1)
    slope = np.gradient(np.array(body.widths), np.array(body.heights))
    ny = -_at(_table(body.heights, np.clip(slope, -1.2, 1.2).tolist()), h) * 0.45 * flatness
    nz = front ** (n - 1) / flatness
    if body.wrinkles:
        ny = ny + body.wrinkles * np.sin(23 * h + 5 * np.sin(7 * x)) * np.abs(across)
        nx = nx + body.wrinkles * np.sin(31 * x + 9 * h + 2 * np.sin(11 * h))
    nx = nx + (0 if body.wrapped else math.sin(yaw) * nz)
    length = np.sqrt(nx**2 + ny**2 + nz**2)
    lambert = np.maximum((nx * _LIGHT[0] + ny * _LIGHT[1] + nz * _LIGHT[2]) / length, 0)
    half = np.maximum((nx * _HALF[0] + ny * _HALF[1] + nz * _HALF[2]) / length, 0)
    rim = 0.12 * (1 - nz / length) ** 3
    shade = 0.42 + 0.66 * lambert + rim
    # a tall soft box beside the camera leaves an upright streak on glossy things
    streak = np.exp(-(((nx / length + 0.56) / 0.09) ** 2)) * (0.25 + 0.75 * (h > 0.04) * (h < 0.97))
    shine = body.gloss * (0.45 * streak + 0.55 * half**40)
    return shade.astype(np.float32), shine.astype(np.float32)
