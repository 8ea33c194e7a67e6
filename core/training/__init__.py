"""What training is, without torch: the fields of its Specs, how they suit a machine, and what is kept of a run."""
