"""Decoding of untrusted files in child processes, which have limits of the system and can be killed."""
