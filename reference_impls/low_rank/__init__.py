"""Low-rank: large matrices as products of small factors."""
