"""A restricted reader for the configs of MONAI Bundles: values and components, and never a bundle's own code.

``resolving.ConfigReader`` is the door. It gives what MONAI's ``ConfigParser`` gives, for what
``names.py`` allows; all else is refused with a ``ConfigError`` that names it.
"""
