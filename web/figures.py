"""What is measured, in words: what each figure is called, how it was come by, and how far off its prediction was."""

from __future__ import annotations

from dataclasses import dataclass

from core.values import Job, Measurement
from web.format import significant, written

FIGURES = {  # name → (title, how it was measured)
    "time_to_first_token_s": ("First token", "From the request until the first token was chosen, on the worker"),
    "tokens_per_s": ("Speed", "Tokens after the first one, over the time that they took"),
    "peak_bytes": ("Peak memory", "The highest memory of the worker's process on its device while the job ran"),
    "resident_bytes": ("Held by the model", "What the process holds on its device between requests"),
    "cache_bytes": ("Its own cache", "Keys and values of this job's tokens"),
    "shared_with": ("Decoded together with", "Other jobs that were decoded in the same process meanwhile"),
    "parameters": ("Parameters", "Counted in memory; tied ones once"),
    "weights_bytes": ("Weights", "Counted in memory, tensor by tensor"),
    "state_bytes": ("Quantization state", "Counted in memory: the scales that a quantizer keeps beside the weights"),
    "kv_cache_bytes_per_token": ("KV cache a token", "Measured on the cache of the sample answer"),
    "load_peak_bytes": ("Peak while loading", ""),
    "held_bytes": ("Held after loading", ""),
    "process_bytes": ("Process total", ""),
    "requested_bytes": ("Requested", "What tensors asked of PyTorch's allocator"),
    "allocated_bytes": ("Allocated", "The blocks that PyTorch's allocator gave for it"),
    "reserved_bytes": ("Reserved", "What PyTorch's allocator keeps of the card"),
    "driver_bytes": ("By the driver", "What the driver counts for the process, CUDA's own share included (NVML)"),
    "load_s": ("Read in", "From the first byte until the weights were in place"),
    "warm_up_s": ("Warm-up", "Making the engine and trying it once"),
    "load_bytes_per_s": ("Read at", "Bytes in memory over the time that reading took"),
    "download_bytes_per_s": ("Fetched at", "Bytes that came over the network, over the whole time of the job"),
    "convert_bytes_per_s": ("Converted at", "Bytes written, over the whole time of the job"),
    "train_s": ("Training", "The steps alone, over all attempts: without loading, evaluating and saving"),
    "train_tokens_per_s": ("Speed of training", "Tokens that were learned, over the time of the steps"),
    "merge_s": ("Merging", "Reading, adding and writing, tensor by tensor"),
    "merge_peak_bytes": ("Peak while merging", "Beyond what the process held before; the check comes after it"),
    "written_bytes": ("Written", "The merged model's weights on disk"),
    "seconds": ("In all", "Merging and its check"),
    "freed_bytes": ("Free again", "The size of the files that went"),
}
BESIDE = ("resident_bytes", "cache_bytes", "shared_with")  # said where one asks how the peak was measured
OF_PROCESS, OF_ALLOCATOR = "Memory of the worker's process", "By PyTorch's allocator"
BY_DEVICE = {  # of these it depends on the device who counts: (host, card)
    "load_peak_bytes": (OF_PROCESS, OF_ALLOCATOR),
    "held_bytes": (OF_PROCESS, OF_ALLOCATOR),
    "process_bytes": (OF_PROCESS, "By the driver, CUDA's own share included"),
}
MEMORY = ("parameters", "kv_cache_bytes_per_token", "process_bytes", "driver_bytes", "reserved_bytes", "state_bytes")
ENOUGH = 3  # so many predictions make a table


@dataclass(frozen=True)
class Compared:
    """A figure beside what was said before."""

    title: str
    way: str
    predicted: str
    measured: str
    off_by: str
    exactly: str


def title_of(measurement: Measurement) -> str:
    """What a measurement is called."""
    known = FIGURES.get(measurement.name)
    return known[0] if known else measurement.name.replace("_", " ").capitalize()


def way_of(measurement: Measurement, job: Job) -> str:
    """How it was come by; "" where that is not known."""
    if measurement.name in BY_DEVICE:
        on_host, on_card = BY_DEVICE[measurement.name]
        return on_card if (job.result or {}).get("memory_kind") == "gpu" else on_host
    known = FIGURES.get(measurement.name)
    return known[1] if known else ""


def compared(job: Job) -> list[Compared]:
    """The rows of a table of predictions; none where there are too few to make one."""
    if sum(m.predicted is not None for m in job.measurements) < ENOUGH:
        return []
    return [_row(m, job) for m in job.measurements if _is_compared(m)]


def alone(job: Job) -> list[Measurement]:
    """The figures that stand by themselves."""
    in_table = bool(compared(job))
    return [m for m in job.measurements if m.name not in BESIDE and not (in_table and _is_compared(m))]


def off_by(measurement: Measurement) -> str:
    """How far a measurement was off its prediction."""
    said, value = measurement.predicted, measurement.value
    if said is None:
        return "\u2013"
    if said == value:
        return "exact"
    if not said:
        return "\u2013"
    percent = 100 * (value - said) / said
    sign = "+" if percent > 0 else "\u2212"
    return f"{sign}{significant(abs(percent), 2 if abs(percent) < 100 else 3)} %"


def _is_compared(measurement: Measurement) -> bool:
    return measurement.predicted is not None or measurement.name in MEMORY


def _row(m: Measurement, job: Job) -> Compared:
    return Compared(
        title=title_of(m),
        way=way_of(m, job),
        predicted=written(m.predicted, m.unit) if m.predicted is not None else "\u2013",
        measured=written(m.value, m.unit),
        off_by=off_by(m),
        exactly=f"{m.value:,.0f} {m.unit}" if m.value >= 1000 else "",
    )
