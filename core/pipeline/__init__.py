"""Pipelines as values: steps and what they need, how references become artifacts, and what is told of them."""
