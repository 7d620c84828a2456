"""What Shopcue remembers beside pictures and media: shops, tokens, uploads, jobs, videos, focuses, reviews, events.

One SQLite file, or PostgreSQL by its URL. Every function takes the session of a transaction first: what is written in
one transaction is there as a whole or not at all, and so is the event that tells the pages about it.
"""

from shopcue.database.sessions import Database, open_database

__all__ = ["Database", "open_database"]
