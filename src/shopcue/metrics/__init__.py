"""How good an answer is: plain functions over truth and prediction."""
