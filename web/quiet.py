"""Keeps Gradio from calling home and from keeping what people write in their browser."""

from __future__ import annotations

import os

# read by Gradio while it is imported, so that no argument of ours would come in time
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000",  # else a table of figures is built at each event
    "GRADIO_ANALYTICS_MAX_EVENTS": "500",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def silence_gradio() -> None:
    """Set what must be set before the first `import gradio`."""
    os.environ.update(QUIET)
