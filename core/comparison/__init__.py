"""What a comparison of variants is made of: how variants are named, what is measured of each, and what follows from it.

Without torch: the page, the command line and the report read the same values. How they are measured is in `core.llm`.
"""
