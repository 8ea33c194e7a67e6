"""`workbench up`: one run of a whole workbench, from the first check to the last process that ends."""

from __future__ import annotations

import signal
from types import FrameType

from core import preflight
from core.house import House
from core.modes import check_safe
from core.settings import Settings


def up(settings: Settings) -> int:
    """Run everything until a signal; the exit code.

    Raises:
        SetupError: something is not as it must be. Nothing is left running then.
    """
    check_safe(settings)
    preflight.make_home(settings.home)
    preflight.check_space(settings.home)
    with preflight.one_up(settings.home, settings.run_folder) as lock, _Signals() as signals:
        house = House(settings, preflight.free_port(settings.host, settings.port), lock)
        try:
            house.start()
            house.watch()
        except KeyboardInterrupt:
            print("\nStopping. Once more Ctrl-C does it at once.", flush=True)
        finally:
            signals.is_stopping = True
            house.stop(lambda: signals.is_hurried)
    print("Stopped.", flush=True)
    return 0


class _Signals:
    """Turns the first Ctrl-C, SIGTERM or SIGHUP into a KeyboardInterrupt and remembers a second one."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.is_stopping = False
        self.is_hurried = False

    def __enter__(self) -> _Signals:
        self._before = {number: signal.signal(number, self._handle) for number in self.NUMBERS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_stopping:
            self.is_hurried = True
            return
        self.is_stopping = True
        raise KeyboardInterrupt
