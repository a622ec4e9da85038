"""The data check: what about the cases would spoil a training, before it begins."""
