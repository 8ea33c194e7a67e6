"""The workers: per card one process that keeps models resident and one that runs long jobs in children of its own."""
