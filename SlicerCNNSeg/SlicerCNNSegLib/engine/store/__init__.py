"""The user's store of models: what comes in is checked member by member before it takes its place."""
