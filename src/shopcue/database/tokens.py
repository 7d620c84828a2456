"""Tokens: who may do what. The text of a token is shown once; only a hash of it is kept."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from shopcue.database.rows import get_row
from shopcue.database.tables import Token
from shopcue.database.texts import ID_LENGTH, new_id
from shopcue.errors import RecordError

ROLES = ("admin", "seller", "viewer")
_SECRET_LENGTH = 32  # 190 bits: nothing to guess, so a fast hash is as good as a slow one
_TOKEN = re.compile(rf"sc_([A-Za-z0-9]{{{ID_LENGTH}}})_[A-Za-z0-9]{{{_SECRET_LENGTH}}}")
_USED_EVERY_S = 60.0


def create_token(
    session: Session, name: str, role: str, shops: Sequence[str] = (), expires_at: float | None = None
) -> tuple[Token, str]:
    """Make a token and return it with its text, `sc_<token_id>_<secret>`, which cannot be had again.

    role: of `ROLES`. shops: the slugs where a seller or viewer is at home. expires_at: seconds since 1970.
    """
    if role not in ROLES:
        raise RecordError(f"the role of a token is {role[:40]!r}, expected one of {', '.join(ROLES)}")
    token_id = new_id()
    text = f"sc_{token_id}_{new_id(_SECRET_LENGTH)}"
    token = Token(
        token_id=token_id,
        name=name,
        role=role,
        shops=list(dict.fromkeys(shops)),
        hash=_hash(text),
        created_at=time.time(),
        expires_at=expires_at,
    )
    session.add(token)
    session.flush()
    return token, text


def find_token(session: Session, text: str) -> Token | None:
    """Return the token whose text this is, unless it has expired or was revoked."""
    read = _TOKEN.fullmatch(text)
    token = session.get(Token, read[1]) if read else None
    # Compared in constant time; an unknown id costs as much as a wrong secret.
    same = hmac.compare_digest(token.hash if token else _hash(""), _hash(text if read else ""))
    if token is None or not same or token.revoked_at is not None:
        return None
    return None if token.expires_at is not None and token.expires_at <= time.time() else token


def touch_token(session: Session, token_id: str) -> None:
    """Remember that a token was used just now, to the minute."""
    token, now = get_row(session, Token, token_id), time.time()
    if token.used_at is None or now - token.used_at >= _USED_EVERY_S:
        token.used_at = now


def list_tokens(session: Session) -> list[Token]:
    """Return all tokens, oldest first, the expired and revoked ones too."""
    return list(session.scalars(select(Token).order_by(Token.created_at, Token.token_id)))


def revoke_token(session: Session, token_id: str) -> Token:
    """Make a token useless from now on; raises Missing."""
    token = get_row(session, Token, token_id)
    token.revoked_at = token.revoked_at or time.time()
    return token


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
