"""Which data, which of its columns and rows, and how many are set aside: the fields of every job with data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from core.data.chat_templates import ChatTemplate
from core.data.template import Template
from core.spec import Spec
from core.variant import ADVANCED

MOST_ROWS = 1_000_000
DEFAULT_DATA = "reviews"

DataFormat = Literal["", "text", "prompt-completion", "messages", "preference", "labelled"]


class DataFields(Spec):
    """Mixed into the Spec of a job that reads data. `core.data.read.read_data` reads what it describes."""

    data: str = Field(
        DEFAULT_DATA,
        min_length=1,
        max_length=1000,
        description="Built in (reviews, reviews-labelled, reviews-graded, reviews-preferences), a Hub name "
        "(owner/name), the id of an upload or artifact, or a file of the worker's machine",
    )
    data_config: str = Field(
        "", max_length=200, description="Which configuration of a Hub data set", json_schema_extra=ADVANCED
    )
    data_split: str = Field(
        "train", max_length=200, description="Which split of a Hub data set", json_schema_extra=ADVANCED
    )
    data_revision: str | None = Field(
        None,
        max_length=200,
        description="Branch, tag or commit of a Hub data set; empty: the newest",
        json_schema_extra=ADVANCED,
    )
    data_format: DataFormat = Field("", description="What the rows are; empty: recognised by their columns")
    prompt_template: str = Field(
        "", max_length=20_000, description="Makes the prompt of columns, such as {question}; empty: a column of its own"
    )
    completion_template: str = Field(
        "", max_length=20_000, description="Makes the completion of columns; empty: a column of its own"
    )
    text_template: str = Field(
        "", max_length=20_000, description="Makes the text of columns; empty: a column of its own"
    )
    label_column: str = Field("", max_length=500, description="The column that holds the label; empty: label")
    max_rows: int = Field(0, ge=0, le=MOST_ROWS, description="Read so many rows that can be used; 0: all")
    min_chars: int = Field(
        0, ge=0, description="Leave out rows with fewer characters; 0: none", json_schema_extra=ADVANCED
    )
    max_chars: int = Field(
        0, ge=0, description="Leave out rows with more characters; 0: none", json_schema_extra=ADVANCED
    )
    eval_share: float = Field(0.05, ge=0, le=0.5, description="Which share of the rows is set aside for evaluation")
    split_seed: int = Field(0, ge=0, description="Which rows are set aside", json_schema_extra=ADVANCED)

    @field_validator("prompt_template", "completion_template", "text_template")
    @classmethod
    def _is_a_template(cls, template: str) -> str:
        Template(template)
        return template

    @model_validator(mode="after")
    def _fits_together(self) -> DataFields:
        if self.text_template and (self.prompt_template or self.completion_template):
            raise ValueError("text_template makes a text, prompt_template and completion_template two: give one sort.")
        if 0 < self.max_chars < self.min_chars:
            raise ValueError(f"max_chars ({self.max_chars}) is below min_chars ({self.min_chars}): no row is both.")
        return self


class ChatFields(DataFields):
    """Of a job that makes conversations into tokens by the model's chat template."""

    chat_template: ChatTemplate = Field(
        "",
        description="How a conversation is written for a model without a chat template; empty: by the model's own",
        json_schema_extra=ADVANCED,
    )
