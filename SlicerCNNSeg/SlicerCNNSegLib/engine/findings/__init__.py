"""Findings of a detection: boxes in the patient, measurements, lungs, follow-up, and what is written of them.

``boxes``, ``finding``, ``tables``, ``category`` and ``growth`` are light (standard library and numpy); ``merging``,
``lungs``, ``measure``, ``segmenting``, ``registration``, ``matching``, ``key_images`` and ``page`` are heavy.
"""
