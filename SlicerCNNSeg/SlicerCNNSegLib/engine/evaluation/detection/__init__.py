"""How well found nodules agree with annotated ones: LUNA16's protocol, box AP and case-level measures.

``tables``, ``luna``, ``curves`` and ``summary`` are light (standard library and numpy); ``boxes``,
``scan_level``, ``plot`` and ``evaluate`` are heavy (MONAI, matplotlib).
"""
