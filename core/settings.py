"""Every setting, read once from `WORKBENCH_*` at an entry point and passed on from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import SetupError
from core.modes import MODES, Mode

SCHEMES = {
    "database_url": ("postgresql", "postgres", "postgresql+psycopg", "sqlite"),
    "redis_url": ("redis", "rediss", "unix"),
}


class Settings(BaseSettings):
    """The settings of one installation. Each field is the environment variable WORKBENCH_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="WORKBENCH_", frozen=True, extra="ignore")

    mode: Mode = Field(
        default=Mode.LOCAL, description="`local`: one owner on this machine; `team`: people sign in; `public`: visitors"
    )
    home: Path = Field(
        default=Path("~/.local/share/workbench"),
        validate_default=True,
        description="Folder of the database, the models, the artifacts and the logs",
    )
    database_url: str = Field(
        default="", description="SQLAlchemy URL of a PostgreSQL database; empty: SQLite in the home"
    )
    redis_url: str = Field(default="", description="URL of a Redis or Valkey; empty: an own Valkey, started by `up`")
    redis_prefix: str = Field(
        default="workbench", pattern=r"^[\w.-]+$", description="What each key in Redis begins with"
    )
    host: str = Field(default="127.0.0.1", description="Address that the page is bound to")
    port: int = Field(default=7860, ge=0, le=65535, description="Port of the page; 0 takes a free one")
    allowed_hosts: str = Field(
        default="", description="Further host names, comma-separated, by which browsers may reach the page"
    )
    url: str = Field(
        default="", description="Address by which browsers reach the page where a proxy stands before it: https://…"
    )
    proxies: int = Field(
        default=0, ge=0, le=9, description="Proxies before the page, of which each appends to X-Forwarded-For"
    )
    frames: str = Field(
        default="", description="Sites that may show the page in a frame, separated by spaces, as in a policy's header"
    )
    secret: str = Field(
        default="",
        repr=False,
        description="Signs cookies and one-time links; 32 characters or more, none to be guessed",
    )
    user: str = Field(
        default="me",
        pattern=r"^[\w.@-]{1,64}$",
        description="Who owns what is submitted here; in team mode, for whom the command line acts",
    )
    session_days: float = Field(
        default=14, gt=0, le=365, description="Days after which somebody who was away signs in anew"
    )
    uploads: bool = Field(default=True, description="Whether files with rows are taken")
    downloads: bool = Field(default=True, description="Whether models and data come from the Hub")
    training: bool = Field(default=True, description="Whether models are trained and merged")
    paths: bool = Field(default=True, description="Whether members may name folders and files of the worker's machine")
    only_builtin: bool = Field(default=False, description="Whether the built-in model is the only one to be used")
    most_of_address: int = Field(
        default=0, ge=0, description="Unfinished jobs from one address, by an X-Forwarded-For that counts; 0: no limit"
    )
    most_in_all: int = Field(default=0, ge=0, description="Unfinished jobs in all; 0: no limit")
    most_prompt_chars: int = Field(default=0, ge=0, description="Characters that a job is asked in all; 0: no limit")
    most_new_tokens: int = Field(default=0, ge=0, description="Tokens that an answer may have at most; 0: no limit")
    private: bool = Field(
        default=False, description="Whether jobs and data are for their owner alone until they say otherwise"
    )
    keep_h: float = Field(
        default=0, ge=0, description="Hours after which a finished job of a visitor is deleted; 0: never"
    )
    slots: int = Field(default=32, ge=1, le=512, description="Interactive jobs that one worker runs at once")
    preload: bool = Field(default=True, description="Load the built-in model when a worker starts")
    memory_bytes: int = Field(
        default=0, ge=0, description="Bytes of its device that a worker may use for models and jobs; 0: all of it"
    )
    resident_first_s: float = Field(
        default=20,
        ge=0,
        le=3600,
        description="Seconds that a job for another model waits at most while jobs for the resident one go first",
    )
    most_queued: int = Field(
        default=0, ge=0, description="Unfinished jobs of one person, waiting, running or paused; 0: no limit"
    )
    most_running: int = Field(
        default=0, ge=0, description="Jobs of one person that run at once in each queue; 0: no limit"
    )
    lease_s: float = Field(
        default=30, ge=1, le=3600, description="Seconds without a sign of life after which a worker is lost"
    )
    sweep_s: float = Field(
        default=2, ge=0.1, le=600, description="Seconds between two looks for lost jobs and messages"
    )
    cancel_grace_s: float = Field(
        default=60, ge=0, le=3600, description="Seconds that a cancelled batch job has to save its work"
    )
    yield_after_min: float = Field(
        default=0,
        ge=0,
        le=100_000,
        description="Minutes after which a training makes room for interactive jobs that wait for its memory; 0: never",
    )
    max_attempts: int = Field(
        default=3, ge=1, le=100, description="Attempts before a job whose workers die counts as failed"
    )
    extra_kinds: str = Field(
        default="", description="Modules, comma-separated, that hold further kinds of job (for tests and extensions)"
    )
    trusted_code: str = Field(
        default="",
        description="Hub models whose own code may run, comma-separated, each pinned: `organisation/name@COMMIT`",
    )
    log_level: str = Field(default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$", description="How much the logs say")

    @model_validator(mode="before")
    @classmethod
    def _as_the_mode_has_it(cls, given: Any) -> Any:
        """What is not given is as the mode has it."""
        try:
            mode = Mode(given.get("mode", Mode.LOCAL))
        except ValueError:
            return given  # which its own check says
        return {**MODES[mode], **given}

    @field_validator("database_url", "redis_url")
    @classmethod
    def _is_url(cls, url: str, info: ValidationInfo) -> str:
        schemes = SCHEMES[str(info.field_name)]
        parts = urlsplit(url)
        if url and parts.scheme not in schemes:
            raise ValueError(f"it begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        _ = parts.port  # raises where it is no number
        return url

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @property
    def database(self) -> str:
        """The database's SQLAlchemy URL, with psycopg as PostgreSQL's driver."""
        if not self.database_url:
            return f"sqlite:///{self.home / 'workbench.db'}"
        scheme, separator, rest = self.database_url.partition("://")
        return (
            f"postgresql+psycopg://{rest}" if separator and scheme in {"postgres", "postgresql"} else self.database_url
        )

    @property
    def run_folder(self) -> Path:
        """Where locks, sockets and addresses of the running parts lie."""
        return self.home / "run"

    @property
    def redis(self) -> str:
        """The broker's URL: the one given, else the one that `workbench up` left in the home; "" where neither is."""
        if self.redis_url:
            return self.redis_url
        address = self.run_folder / "redis.url"
        return address.read_text().strip() if address.exists() else ""


def read_settings(**given: object) -> Settings:
    """The settings of this process, with `given` taking precedence over the environment.

    Raises:
        SetupError: a variable has a value that it cannot have.
    """
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = f"WORKBENCH_{'_'.join(str(part) for part in first['loc']).upper()}"
        value = "used" if name.endswith("_URL") else repr(first["input"])  # a URL may hold a password
        reason = first["msg"].removeprefix("Value error, ")
        raise SetupError(f"{name} cannot be {value}: {reason[0].lower()}{reason[1:]}.") from error
