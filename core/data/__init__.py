"""What is trained on: where rows come from, which formats they have, what is wrong with them, and how they are split.

Without torch. How a row becomes tokens is in `core.llm.rows`.
"""
