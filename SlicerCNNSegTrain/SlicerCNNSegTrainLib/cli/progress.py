"""Progress in the terminal: one bar with time left and the stage; Ctrl-C can stop cleanly."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

from tqdm import tqdm


class BarProgress:
    """A progress bar on standard error, as an ``engine.progress.Progress``.

    Parameters
    ----------
    title:
        What is going on.
    stop_cleanly:
        Take the first Ctrl-C as a wish to stop at the next step, with a checkpoint; the second ends at once.
    """

    def __init__(self, title: str, *, stop_cleanly: bool = False) -> None:
        self._bar = tqdm(total=1.0, desc=title, bar_format="{desc} {percentage:3.0f}%|{bar}| {remaining} left{postfix}")
        self._stop_cleanly, self._stopped = stop_cleanly, False
        self._handler: signal._HANDLER = None

    def report(self, fraction: float, stage: str) -> None:
        """Move the bar and show the stage."""
        self._bar.set_postfix_str(stage, refresh=False)
        self._bar.update(fraction - self._bar.n)

    def cancelled(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._stopped

    def __enter__(self) -> BarProgress:
        if self._stop_cleanly:
            self._handler = signal.signal(signal.SIGINT, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stop_cleanly:
            signal.signal(signal.SIGINT, self._handler)
        self._bar.close()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True
        signal.signal(signal.SIGINT, self._handler)
