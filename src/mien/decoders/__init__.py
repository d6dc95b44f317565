"""Decode untrusted files in child processes with resource limits, which can be killed."""
