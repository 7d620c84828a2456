"""Tokens: who may do what, for admins."""

from __future__ import annotations

import time

from fastapi import APIRouter

from shopcue.database import tokens
from shopcue.server.auth import Admin, Parts
from shopcue.server.problems import CHANGES, READS, Unfit, refusals
from shopcue.server.schemas import MadeToken, NewToken, Token, Tokens
from shopcue.server.schemas.shapes import Identity

router = APIRouter(prefix="/api/tokens", tags=["tokens"])


@router.get("", responses=READS | refusals(403))
def list_all(_: Admin, parts: Parts) -> Tokens:
    """List all tokens, the revoked ones too, without their secrets."""
    with parts.database.read() as session:
        return Tokens(tokens=[Token.model_validate(row) for row in tokens.list_tokens(session)])


@router.post("", status_code=201, responses=CHANGES)
def make(body: NewToken, _: Admin, parts: Parts) -> MadeToken:
    """Make a token; its text is in this answer and nowhere else."""
    if body.role != "admin" and not body.shops:
        raise Unfit(f"a token with the role {body.role} came without shops, expected the names of those it is for")
    expires_at = None if body.expires_in_days is None else time.time() + body.expires_in_days * 86_400
    shops = [] if body.role == "admin" else sorted(set(body.shops))
    with parts.database.write() as session:
        row, text = tokens.create_token(session, body.name, body.role, shops, expires_at=expires_at)
    return MadeToken(**Token.model_validate(row).model_dump(), token=text)


@router.delete("/{token_id}", status_code=204, responses=CHANGES)
def revoke(token_id: Identity, _: Admin, parts: Parts) -> None:
    """Revoke a token: from now on it is refused."""
    with parts.database.write() as session:
        tokens.revoke_token(session, token_id)
