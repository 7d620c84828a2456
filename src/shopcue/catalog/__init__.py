"""The shop: feeds from every system, their pictures, and galleries to search in."""
