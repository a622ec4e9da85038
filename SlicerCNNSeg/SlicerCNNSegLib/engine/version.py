"""The version of CNNSeg."""

VERSION = "0.1.0"
