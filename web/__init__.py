"""The web side: pages, their live views and the doors around them. No torch, and nothing of the worker."""
