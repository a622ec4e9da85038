"""The resident worker: a process of its own that keeps models warm and runs them one after the other; no Qt."""
