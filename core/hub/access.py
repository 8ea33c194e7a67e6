"""Which Hub is asked, as whom, and where its files are kept: read from the environment at an entry point."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from core.errors import HubRefused


@dataclass(frozen=True, slots=True)
class Access:
    """One Hub. The token is in no text that this value makes of itself."""

    endpoint: str
    cache: Path
    token: str | None = field(default=None, repr=False)
    is_offline: bool = False

    @classmethod
    def from_environment(cls) -> Access:
        """By HF_ENDPOINT, HF_HUB_CACHE or HF_HOME, HF_HUB_OFFLINE, and HF_TOKEN or the Hub's own login.

        huggingface_hub reads all but the token when it is first imported, so a process keeps what it started with.

        Raises:
            HubRefused: there is a login, but no token can be had by it.
        """
        from huggingface_hub import constants

        return cls(constants.ENDPOINT, Path(constants.HF_HUB_CACHE), _token(), constants.is_offline_mode())

    @property
    def host(self) -> str:
        """The Hub's address in a sentence."""
        return self.endpoint.rpartition("://")[2].partition("/")[0].rpartition("@")[2]


def _token() -> str | None:
    from huggingface_hub import get_token

    try:
        return get_token()
    except Exception as error:  # a login may renew itself over the network, and fail there in many ways
        raise HubRefused(
            f"The login for the Hub gives no token ({type(error).__name__}).",
            "Set HF_TOKEN where the worker runs, or log in there again with `hf auth login`.",
        ) from error
