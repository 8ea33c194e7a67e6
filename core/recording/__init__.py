"""Jobs that have ended, kept as files: written without what is private, and read back to be replayed anywhere.

A recording holds what the store and the stream held, never the files of artifacts. How it is shown is left to the page.
"""
