"""The shop behind it: API, pages, live events and the workers that `shopcue serve` runs.

The API process, the job workers and the stream worker speak through the database alone. Nothing that was acknowledged
is lost when any of them is killed.
"""
