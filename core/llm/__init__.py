"""Everything that computes with a model. It knows nothing of the store, the queue or the page."""
