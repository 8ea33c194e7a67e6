"""Every failure that a person can act on, as one tree: a class, a code and a sentence.

    WorkbenchError
    ├── BadInput            what was asked is malformed or out of bounds
    │   ├── UnknownKind
    │   └── ContextExceeded
    ├── NotFound            no such job, sample or artifact (or not yours to see)
    ├── NotAllowed          seen, but not yours to change
    ├── TooMany             as many jobs as there may be are unfinished
    ├── IllegalMove         a job cannot go from that state to this one
    ├── Fenced              this attempt no longer owns the job
    ├── ModelError
    │   ├── ModelNotFound
    │   ├── ModelBroken
    │   ├── BadConfig       a config.json that describes no model that could exist
    │   ├── NotACausalModel
    │   ├── PickledWeights  only in a format that can run code: it must be converted
    │   ├── NotDownloaded   on the Hub perhaps, but not on this machine
    │   ├── HubRefused      gated, private, or too many requests
    │   ├── HubAway         no network, or the Hub does not answer
    │   ├── AdapterMismatch
    │   ├── MergeCheckFailed
    │   └── NotANumber      it computes NaN or infinity where probabilities should be
    ├── OutOfMemory
    ├── WorkerLost          the process that ran the job died
    └── SetupError          the installation, its services or its machine
        ├── NoWorker
        ├── DiskFull
        └── Unavailable     a database or broker that does not answer

Anything else that is raised is a bug and keeps its traceback on the Attempt.
"""

from __future__ import annotations


class WorkbenchError(Exception):
    """An expected failure: a sentence for the person and, where there is one, a hint at the way out."""

    code = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadInput(WorkbenchError, ValueError):
    """What was asked is malformed or out of bounds."""

    code = "bad_input"


class UnknownKind(BadInput):
    """No kind of job has that name."""

    code = "unknown_kind"


class ContextExceeded(BadInput):
    """The prompt does not fit into the model's context."""

    code = "context_exceeded"


class NotFound(WorkbenchError, LookupError):
    """There is no such thing, or the one who asks may not know of it."""

    code = "not_found"


class NotAllowed(WorkbenchError, PermissionError):
    """The one who asks may see it but not change it."""

    code = "not_allowed"


class TooMany(WorkbenchError):
    """As many jobs as there may be are unfinished: of the one who asks, from there, or in all."""

    code = "too_many"


class IllegalMove(WorkbenchError):
    """The state machine has no such move."""

    code = "illegal_move"


class Fenced(WorkbenchError):
    """The attempt that wrote was declared lost; another one owns the job now."""

    code = "fenced"


class ModelError(WorkbenchError):
    """Something about a model's files."""

    code = "model_error"


class ModelNotFound(ModelError):
    """No model has that name, or nothing is in that folder."""

    code = "model_not_found"


class ModelBroken(ModelError):
    """The model's files are incomplete, damaged or not what they say."""

    code = "model_broken"


class BadConfig(ModelError, ValueError):
    """A config.json describes no model that could exist."""

    code = "bad_config"


class NotACausalModel(ModelError):
    """The model cannot continue a text."""

    code = "not_a_causal_model"


class NotAClassifier(ModelError):
    """The model cannot tell texts apart by labels."""

    code = "not_a_classifier"


class PickledWeights(ModelBroken):
    """The weights are there only in a format that can run code when it is read."""

    code = "pickled_weights"


class NotDownloaded(ModelNotFound):
    """The name is one of the Hub, and the model is not on this machine."""

    code = "not_downloaded"


class HubRefused(ModelError):
    """The Hub does not give it: gated, private, or too many requests."""

    code = "hub_refused"


class HubAway(ModelError):
    """The Hub cannot be reached."""

    code = "hub_away"


class AdapterMismatch(ModelError, ValueError):
    """The adapter was trained on another base model, or it is none."""

    code = "adapter_mismatch"


class MergeCheckFailed(ModelError):
    """A merged model is not what base + adapter were, by the rule of its check."""

    code = "merge_check"


class NotANumber(ModelError, ArithmeticError):
    """The model computes NaN or infinity where probabilities should be."""

    code = "nan_logits"


class OutOfMemory(WorkbenchError, MemoryError):
    """The device had less memory than the work needed."""

    code = "out_of_memory"


class WorkerLost(WorkbenchError):
    """The process that ran the job died before the job ended."""

    code = "worker_lost"


class SetupError(WorkbenchError):
    """The installation, one of its services or the machine is not as it must be."""

    code = "setup"


class NoWorker(SetupError):
    """No living worker takes jobs of that kind."""

    code = "no_worker"


class DiskFull(SetupError):
    """The disk has no room for what is to be written."""

    code = "disk_full"


class Unavailable(SetupError):
    """The database or the broker does not answer."""

    code = "unavailable"
