"""`preview`: what a data set is, and its rows as a model will see them; only the model's tokenizer is read."""

from __future__ import annotations

from pydantic import Field

from core.catalog import BUILTIN_NAME, ModelSource, resolve
from core.data.preview import Previewed
from core.data.read import read_data
from core.data.spec import ChatFields
from core.data.values import Data
from core.jobs.kind import Context, Door, Kind, Queue, Result, shorten
from core.values import Progress
from core.variant import ADVANCED


class PreviewSpec(ChatFields):
    """Which data, and how a model is to be trained on it."""

    model: str = Field(
        BUILTIN_NAME, min_length=1, max_length=500, description="A Hub name, a folder, or the id of a model of a job"
    )
    revision: str | None = Field(
        None, max_length=200, description="Branch, tag or commit of a Hub model", json_schema_extra=ADVANCED
    )
    max_length: int = Field(1024, ge=1, le=1_000_000, description="Tokens of a row; what is behind is cut off")
    completion_only_loss: bool | None = Field(
        None,
        description="Train on completions alone; empty: where the rows are prompt and completion",
        json_schema_extra=ADVANCED,
    )
    assistant_only_loss: bool = Field(
        False, description="Train on what the assistant says alone", json_schema_extra=ADVANCED
    )
    per_device_train_batch_size: int = Field(8, ge=1, le=64, description="Rows of the batch that is shown")
    seed: int = Field(42, ge=0, le=2**32 - 1, description="Of the order of the rows", json_schema_extra=ADVANCED)
    n_rows: int = Field(5, ge=0, le=50, description="How many rows to show")


class PreviewResult(Previewed, Result):
    """What was found."""


def run(spec: PreviewSpec, context: Context) -> PreviewResult:
    """Read the data, make tokens of every row, and show the first ones.

    Raises:
        BadInput: the data cannot be used, in a sentence.
        ModelError: there is no such model here, or its tokenizer cannot be read.
        Unavailable, HubAway, HubRefused, DiskFull: the data cannot be fetched.
    """
    from core.hub.access import Access
    from core.hub.line import Line
    from core.hub.trouble import Stopped

    source = _model_of(spec, context)
    with Line(Access.from_environment()) as line:
        context.on_stop(line.cut)
        try:
            data = read_data(spec, context.home, lambda message: context.progress(Progress(message=message)), line)
        except Stopped:
            return PreviewResult(name=spec.data, model=source.name, max_length=spec.max_length)
    return PreviewResult(**dict(_looked_at(spec, data, source, context)))


def _model_of(spec: PreviewSpec, context: Context) -> ModelSource:
    """The files of the model; those of the built-in one are unpacked first where need be."""
    from core.llm.unpack import unpack_if_builtin

    unpack_if_builtin(spec.model, context.home, lambda _part, words: context.progress(Progress(message=words)))
    return resolve(spec.model, context.home, spec.revision)


def _looked_at(spec: PreviewSpec, data: Data, source: ModelSource, context: Context) -> Previewed:
    from core.llm.previewing import Question, preview
    from core.llm.rows import set_chat_template
    from core.llm.tokenizer import end_ids_of, tokenizer_of

    tokenizer = tokenizer_of(source)
    set_chat_template(tokenizer, spec.chat_template)
    question = Question(
        max_length=spec.max_length,
        completion_only_loss=spec.completion_only_loss,
        assistant_only_loss=spec.assistant_only_loss,
        per_device_train_batch_size=spec.per_device_train_batch_size,
        seed=spec.seed,
        n_shown=spec.n_rows,
    )

    def tell(done: int, total: int) -> None:
        context.progress(Progress(current=done, total=total, message="counting tokens"))

    made = preview(data, tokenizer, end_ids_of(source, tokenizer), question, source.name, tell, context.should_stop)
    context.token(made.text + "\n")
    return made.model_copy(update={"chat_template": spec.chat_template})


KIND = Kind(
    name="preview",
    queue=Queue.INTERACTIVE,
    door=Door.DATA,
    spec=PreviewSpec,
    result=PreviewResult,
    run=run,
    title=lambda spec: shorten(f"preview {spec.data}"),
    words=lambda spec: spec.data,
    model=lambda spec: spec.model,
    help="See data as a model will be trained on it",
)
