"""What the live platform lays over the picture: the LIVE mark, the chat, a price bubble at times, and hearts."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import cv2
import numpy as np

from shopcue.records import Comment, Image
from shopcue.sources.synthetic.painting import Colour, Lettering, text_mask
from shopcue.sources.synthetic.schedule import Showing

_BOLD = Lettering(weight=0.04)
_PLAIN = Lettering()
_WHITE: Colour = (255, 255, 255)
_CHAT_ROWS = 4
_CHAT_CHARACTERS = 44
_BUBBLE_AFTER_S, _BUBBLE_S = 2.0, 4.0
_LAST_LETTER = "\u024f"  # the font that Pillow carries has Latin letters and no emoji


class Overlays:
    """Draws the platform's marks; each is painted once and kept until it changes."""

    def __init__(self, showings: Sequence[Showing], comments: Sequence[Comment], size: tuple[int, int]) -> None:
        self._showings, self._size = tuple(showings), size
        self._comments = [comment for comment in comments if _drawable(comment.text)]
        self._times = [comment.time_s for comment in self._comments]
        self._unit = size[1] / 540
        self._chat: tuple[int, Image] = (0, _sticker(1, 1, _WHITE, 0, 0))
        self._bubble: tuple[int, Image] = (-1, self._chat[1])
        self._mark = _sticker(*self._px(64, 26), (216, 30, 58), self._unit * 6, 235)
        _letter(self._mark, "LIVE", self._px(12, 13), 17 * self._unit, _WHITE, _BOLD)
        self._heart = _heart(self._px(26, 26)[0])

    def draw(self, frame: Image, time_s: float) -> Image:
        """Return the frame with all marks of this moment on it."""
        frame = np.ascontiguousarray(frame)
        _blend(frame, self._mark, self._px(16, 14))
        chat = self._chat_at(time_s)
        _blend(frame, chat, (self._px(14, 0)[0], self._size[1] - chat.shape[0] - self._px(0, 12)[1]))
        self._put_price(frame, time_s)
        for i in range(3):
            self._put_heart(frame, time_s + 1.1 * i, i)
        return frame

    def _px(self, x: float, y: float) -> tuple[int, int]:
        return max(1, round(x * self._unit)), max(1, round(y * self._unit))

    def _chat_at(self, time_s: float) -> Image:
        """Return the last few comments, the newest at the bottom."""
        count = bisect_right(self._times, time_s)
        if count != self._chat[0]:
            last = self._comments[max(0, count - _CHAT_ROWS) : count]
            rows = [self._chat_row(comment) for comment in last]
            wide = max(row.shape[1] for row in rows)
            padded = [np.pad(row, ((0, self._px(0, 5)[1]), (0, wide - row.shape[1]), (0, 0))) for row in rows]
            self._chat = count, np.vstack(padded)
        return self._chat[1]

    def _chat_row(self, comment: Comment) -> Image:
        user = f"{_drawable(comment.user)[:12] or 'guest'}  "
        text = _drawable(comment.text)[:_CHAT_CHARACTERS]
        height = 15 * self._unit
        user_px = text_mask(user, height, _PLAIN).shape[1] + round(0.5 * height)
        text_px = text_mask(text, height, _PLAIN).shape[1]
        row = _sticker(user_px + text_px + self._px(22, 0)[0], self._px(0, 25)[1], (24, 22, 28), 12 * self._unit, 120)
        middle = row.shape[0] // 2
        _letter(row, user, (self._px(10, 0)[0], middle), height, (255, 208, 120), _PLAIN)
        _letter(row, text, (self._px(10, 0)[0] + user_px, middle), height, _WHITE, _PLAIN)
        return row

    def _put_price(self, frame: Image, time_s: float) -> None:
        """For some seconds of a showing, a bubble pops up with the product's name and price."""
        for i, showing in enumerate(self._showings):
            into = time_s - showing.start_s - _BUBBLE_AFTER_S
            if not (showing.sold and i % 3 != 2 and 0 <= into < min(_BUBBLE_S, showing.end_s - showing.start_s - 2.5)):
                continue
            if self._bubble[0] != i:
                self._bubble = i, self._price_bubble(showing)
            bubble = self._bubble[1]
            drop = round((1 - min(into / 0.25, 1)) ** 2 * 60 * self._unit)
            x, y = self._size[0] - bubble.shape[1] - self._px(18, 0)[0], self._px(0, 16)[1] - drop
            _blend(frame, bubble, (x, y))

    def _price_bubble(self, showing: Showing) -> Image:
        name = f"{showing.design.brand} {showing.design.name}"[:34]
        amount, _, currency = showing.design.price.partition(" ")
        wide = max(text_mask(name, 15 * self._unit, _PLAIN).shape[1], self._px(150, 0)[0]) + self._px(30, 0)[0]
        bubble = _sticker(wide, self._px(0, 62)[1], (252, 250, 246), 14 * self._unit, 238)
        _letter(bubble, name, self._px(15, 18), 15 * self._unit, (70, 64, 64), _PLAIN)
        price_px = _letter(bubble, f"{amount} {currency}", self._px(15, 43), 22 * self._unit, (210, 32, 56), _BOLD)
        _letter(
            bubble,
            "today",
            (self._px(26, 0)[0] + price_px, self._px(0, 45)[1]),
            13 * self._unit,
            (120, 112, 112),
            _PLAIN,
        )
        return bubble

    def _put_heart(self, frame: Image, time_s: float, lane: int) -> None:
        """Hearts rise along the right-hand side and fade."""
        period_s = 3.4 + 0.5 * lane
        rise = (time_s % period_s) / period_s
        x = self._size[0] - self._px(46, 0)[0] + 12 * self._unit * math.sin(7 * rise + lane)
        y = self._size[1] - self._px(0, 60)[1] - rise * 190 * self._unit
        heart = self._heart.copy()
        heart[..., 3] = (heart[..., 3] * (0.85 * math.sin(math.pi * min(1, rise + 0.08)))).astype(np.uint8)
        _blend(frame, heart, (round(x), round(y)))


def _drawable(text: str) -> str:
    return "".join(character for character in text if " " <= character <= _LAST_LETTER).strip()


def _sticker(width: int, height: int, paint: Colour, radius: float, alpha: int) -> Image:
    """Return a rounded plate, RGBA with straight alpha."""
    scale, r = 4, max(0, min(round(radius), width // 2, height // 2))
    cover = np.zeros((scale * height, scale * width), np.uint8)
    far = (scale * (width - r) - 1, scale * (height - r) - 1)
    cv2.rectangle(cover, (scale * r, 0), (far[0], scale * height), (alpha,), -1)
    cv2.rectangle(cover, (0, scale * r), (scale * width, far[1]), (alpha,), -1)
    for x in (scale * r, far[0]):
        for y in (scale * r, far[1]):
            cv2.circle(cover, (x, y), scale * r, (alpha,), -1)
    plate = np.empty((height, width, 4), np.uint8)
    plate[..., :3], plate[..., 3] = paint, cv2.resize(cover, (width, height), interpolation=cv2.INTER_AREA)
    return plate


def _letter(plate: Image, text: str, start: tuple[int, int], height_px: float, paint: Colour, style: Lettering) -> int:
    """Set text on a plate from `start` (left, middle); returns its width."""
    mask = text_mask(text, height_px, style)
    x, y = start[0], max(0, start[1] - mask.shape[0] // 2)
    mask = mask[: plate.shape[0] - y, : max(0, plate.shape[1] - x)]
    part = plate[y : y + mask.shape[0], x : x + mask.shape[1]]
    share = (mask.astype(np.float32) / 255)[..., None]
    part[:] = part + (np.array((*paint, 255), np.float32) - part) * share
    return int(mask.shape[1])


def _heart(side: int) -> Image:
    t = np.linspace(0, 2 * np.pi, 60)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    points = np.stack([(x / 36 + 0.5) * side, (y / 36 + 0.5) * side], 1)
    heart = np.zeros((side, side, 4), np.uint8)
    heart[..., :3] = (255, 74, 106)
    cover = np.zeros((side, side), np.uint8)
    cv2.fillPoly(cover, [np.round(points * 16).astype(np.int32)], (255,), cv2.LINE_AA, 4)
    heart[..., 3] = cover
    return heart


def _blend(frame: Image, sticker: Image, corner: tuple[int, int]) -> None:
    """Lay an RGBA picture with straight alpha on the frame, cut at the borders."""
    x0, y0 = max(corner[0], 0), max(corner[1], 0)
    x1, y1 = min(corner[0] + sticker.shape[1], frame.shape[1]), min(corner[1] + sticker.shape[0], frame.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    part = frame[y0:y1, x0:x1]
    over = sticker[y0 - corner[1] : y1 - corner[1], x0 - corner[0] : x1 - corner[0]].astype(np.float32)
    part[:] = part + (over[..., :3] - part) * (over[..., 3:] / 255)
