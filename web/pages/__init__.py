"""The pages, one a file: each is a function that builds components and wires them to handlers."""
