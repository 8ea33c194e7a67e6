"""The one theme: Gradio's own variables, all pointing at the colours of workbench.css, so that both change together."""

from __future__ import annotations

from gradio.themes import Base
from gradio.themes.utils import sizes

FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
COLOURS = {
    "body_background_fill": "bg",
    "body_text_color": "ink",
    "body_text_color_subdued": "soft",
    "block_background_fill": "card",
    "block_border_color": "line",
    "border_color_primary": "line",
    "block_label_text_color": "soft",
    "block_title_text_color": "ink",
    "block_info_text_color": "soft",
    "background_fill_primary": "card",
    "background_fill_secondary": "sunken",
    "input_background_fill": "card",
    "input_border_color": "line-strong",
    "input_border_color_focus": "accent",
    "input_placeholder_color": "soft",
    "button_primary_background_fill": "accent",
    "button_primary_background_fill_hover": "accent",
    "button_primary_text_color": "accent-ink",
    "button_primary_text_color_hover": "accent-ink",
    "button_primary_border_color": "accent",
    "button_secondary_background_fill": "card",
    "button_secondary_background_fill_hover": "sunken",
    "button_secondary_border_color": "line-strong",
    "button_secondary_text_color": "ink",
    "slider_color": "accent",
    "color_accent": "accent",
    "color_accent_soft": "accent-soft",
    "link_text_color": "accent",
    "checkbox_background_color_selected": "accent",
    "checkbox_border_color_selected": "accent",
    "checkbox_label_background_fill_selected": "accent-soft",
    "checkbox_label_text_color_selected": "ink",
}
PLAIN = {
    "block_title_text_weight": "550",
    "block_label_background_fill": "transparent",
    "panel_background_fill": "transparent",
    "input_border_width": "1px",
    "input_shadow": "none",
    "input_shadow_focus": "none",
    "block_shadow": "none",
}
LIGHT_ONLY = frozenset({"color_accent"})
DARK_TOO = frozenset({"block_label_background_fill", "panel_background_fill"})


def theme() -> Base:
    """The theme of every page."""
    values = dict(PLAIN) | {f"{name}_dark": PLAIN[name] for name in DARK_TOO}
    for name, colour in COLOURS.items():
        values[name] = f"var(--wb-{colour})"
        if name not in LIGHT_ONLY:
            values[f"{name}_dark"] = f"var(--wb-{colour})"
    base = Base(
        font=FONT, font_mono=MONO, radius_size=sizes.radius_md, spacing_size=sizes.spacing_md, text_size=sizes.text_md
    )
    return base.set(**values)
