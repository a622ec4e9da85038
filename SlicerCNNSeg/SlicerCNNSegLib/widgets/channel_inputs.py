"""The input volumes: one for each channel of the chosen model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slicer.i18n import tr as _

from ..engine.package import Channel

PARAMETERS = ("inputVolume", "inputVolume2", "inputVolume3", "inputVolume4")
"""The parameters that hold the volumes. Four: no model of the field takes more images (BraTS)."""


class ChannelInputs:
    """Shows as many selectors as the model has channels, with the channels' names.

    Parameters
    ----------
    ui:
        The form's widgets.
    """

    def __init__(self, ui) -> None:
        self._rows = (
            (ui.inputVolumeLabel, ui.inputVolumeSelector),
            (ui.inputVolume2Label, ui.inputVolume2Selector),
            (ui.inputVolume3Label, ui.inputVolume3Selector),
            (ui.inputVolume4Label, ui.inputVolume4Selector),
        )

    def show(self, channels: Sequence[Channel]) -> None:
        """Show a selector for each channel, and always the first one."""
        for number, (label, selector) in enumerate(self._rows):
            label.visible = selector.visible = number < max(1, len(channels))
            if len(channels) > 1 and number < len(channels):
                label.text = _("{channel}:").format(channel=channels[number].name)
            elif number == 0:
                label.text = _("Input volume:")

    @staticmethod
    def missing(parameters: Any, channels: Sequence[Channel]) -> str:
        """What must be chosen; "" for nothing."""
        if len(channels) > len(PARAMETERS):
            return _("This model needs {count} images; run it in the Python console.").format(count=len(channels))
        if not parameters.inputVolume:
            return _("Choose an input volume.")
        for name, channel in zip(PARAMETERS, channels, strict=False):
            if not getattr(parameters, name):
                return _("Choose an image for {channel}.").format(channel=channel.name)
        return ""

    @staticmethod
    def nodes(parameters: Any, channels: Sequence[Channel]) -> tuple[Any, ...]:
        """The volumes in the order of the channels."""
        return tuple(getattr(parameters, name) for name in PARAMETERS[: max(1, len(channels))])
