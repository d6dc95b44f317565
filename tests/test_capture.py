"""Tests of the output that pytest captures."""

from __future__ import annotations

import logging.config
import sys

import absl.logging
import pytest


def test_configuring_logging_keeps_the_captured_output_open(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        stream = sys.stderr
    handler = absl.logging.get_absl_handler().python_handler
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    assert not handler.stream.closed
    assert not stream.closed
