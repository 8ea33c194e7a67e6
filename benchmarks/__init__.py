"""Scripts that print figures with n and spread. `docs/benchmarks.md` keeps them with date and machine."""
