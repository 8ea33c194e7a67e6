"""The kind `broken-merge`: `merge` in a process whose arithmetic adds half of every change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.jobs.kind import Context
from core.jobs.merge import KIND as MERGE
from core.jobs.merge import MergeResult, MergeSpec


def run(spec: MergeSpec, context: Context) -> MergeResult:
    """Merge wrongly."""
    from core.llm import merging
    from core.llm.merging_weights import Factors, merged_weight

    def half(weight: object, factors: Factors, *, is_transposed: bool) -> object:
        return merged_weight(weight, replace(factors, scale=factors.scale / 2), is_transposed=is_transposed)  # type: ignore[arg-type]  # passed on

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "merged_weight", half)
        return MERGE.run(spec, context)


KIND = replace(MERGE, name="broken-merge", run=run)
