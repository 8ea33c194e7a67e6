"""What goes wrong with the Hub, as one sentence of a known class. No URL is repeated: one may be signed."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping

import httpx2
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from core.catalog.names import shown
from core.errors import HubAway, HubRefused, ModelError, ModelNotFound, SetupError, WorkbenchError
from core.hub.access import Access
from core.hub.room import full

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
HOW_TO_SAY_WHO = "set HF_TOKEN where the worker runs, or log in there with `hf auth login`"
RESET = re.compile(r'"\w+"\s*;\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d+)')


class Stopped(Exception):
    """The job was asked to end in the middle."""


class Missing(ModelNotFound):
    """The Hub has no such repository, or does not show it."""


def away(access: Access) -> HubAway:
    """Nothing answers."""
    return HubAway(
        f"The Hub cannot be reached ({access.host} does not answer).",
        "Check the worker's network. Models that are on its machine work without it.",
    )


def odd(access: Access) -> HubAway:
    """Something answers that is no Hub: a proxy, a portal, a wrong address."""
    return HubAway(f"{access.host} answers, but not as a Hub does.", "Check HF_ENDPOINT and the proxy settings.")


def offline(name: str) -> HubAway:
    """The environment forbids to ask."""
    return HubAway(
        f"{name} cannot be fetched: HF_HUB_OFFLINE is set for this worker.", "Unset it and start the worker again."
    )


def explained(error: Exception, name: str, access: Access) -> WorkbenchError:
    """The sentence for whatever the Hub, the network or the disk did."""
    if isinstance(error, WorkbenchError):
        return error
    if isinstance(error, HfHubHTTPError):
        return _refusal(error, name, access)
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.InvalidURL):
        return HubAway(
            f"HF_ENDPOINT is {shown(access.host)}, which is no address of a Hub.", "It begins with https://."
        )
    if isinstance(error, httpx2.HTTPError):
        return away(access)
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return full(name)
    if isinstance(error, OSError):
        return SetupError(f"{name} cannot be kept in {access.cache}: {error.strerror or type(error).__name__}.")
    return odd(access)


def _refusal(error: HfHubHTTPError, name: str, access: Access) -> ModelError:
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return _gated(name, access)
    if isinstance(error, RevisionNotFoundError):
        return ModelNotFound(f"The Hub has no such revision of {name}.", "Leave it empty for the newest.")
    if isinstance(error, RemoteEntryNotFoundError):
        return ModelNotFound(f"A file of {name} is gone from the Hub.", "Start the download again.")
    if isinstance(error, DisabledRepoError):
        return HubRefused(f"The Hub has disabled {name}.")
    if status == 401 and access.token and "Invalid" in (error.server_message or ""):
        return HubRefused("The Hub does not accept the token.", f"Make a new one, and {HOW_TO_SAY_WHO}.")
    if isinstance(error, RepositoryNotFoundError) or status == 401:
        return Missing(f"The Hub has no model {name}, or it is private.", f"For a private one, {HOW_TO_SAY_WHO}.")
    if status == 403:
        return HubRefused(
            f"The Hub refuses {name} to this token.", f"Give it the right to read it, or {HOW_TO_SAY_WHO}."
        )
    if status == 429:
        return HubRefused(f"The Hub takes no more requests for now: {_wait(error.response.headers)}.",
                          f"Those with a token may ask more often: {HOW_TO_SAY_WHO}.")  # fmt: skip
    if status == 404:
        return odd(access)  # the Hub's own says by a code of its own what is missing
    if status >= 500:
        return HubAway(f"The Hub has trouble of its own (it answered {status}).", "Try again in a few minutes.")
    return HubRefused(f"The Hub refuses {name} (it answered {status}).")


def _gated(name: str, access: Access) -> HubRefused:
    page = f"Ask for access on {access.endpoint}/{name}"
    if access.token:
        return HubRefused(f"{name} is gated, and this token's account has no access to it.", f"{page}.")
    return HubRefused(f"{name} is gated: its owner decides who may have it.", f"{page}, then {HOW_TO_SAY_WHO}.")


def _wait(headers: Mapping[str, str]) -> str:
    said = RESET.search(headers.get("ratelimit", ""))
    seconds = said[1] if said else headers.get("retry-after", "").strip()
    return f"try again in {int(seconds)} seconds" if seconds.isdigit() else "try again in some minutes"
