"""The README's table of settings is the Settings class. `python -m tests.test_settings_documented` prints it anew."""

from __future__ import annotations

from pathlib import Path

from core.settings import Settings

README = Path(__file__).parent.parent / "README.md"


def table() -> str:
    """Every setting as a row of Markdown."""
    rows = ["| variable | default | what it is |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        value = {True: "1", False: "0"}.get(field.default, field.default) if field.annotation is bool else field.default
        default = f"`{value}`" if str(value) else "empty"
        rows.append(f"| `WORKBENCH_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def test_the_readme_has_every_setting_with_its_default_and_meaning() -> None:
    assert table() in README.read_text(), f"the table of settings should be:\n{table()}"


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in Settings.model_fields.values())


if __name__ == "__main__":
    print(table())
