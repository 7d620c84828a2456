"""Published retrieval protocols: who asks, who answers, what counts as a hit.

Every query counts: one whose picture is missing, or in which nothing was detected, is a miss at every k. A model is
judged by the vectors that it makes, or by vectors that somebody else has made with any other.
"""

from shopcue.protocols.deepfashion import consumer_to_shop, deepfashion2
from shopcue.protocols.evaluation import evaluate
from shopcue.protocols.reports import RetrievalReport
from shopcue.protocols.vectors import VectorFiles

__all__ = ["RetrievalReport", "VectorFiles", "consumer_to_shop", "deepfashion2", "evaluate"]
