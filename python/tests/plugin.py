"""A plugin in front of a stand-in for vLLM, and a look into its memory."""

import logging
import os
import sys
import unittest
from unittest import mock

from tests.agent import Reader
from tests.vllm_standins import Standin, config, installed

NOWHERE = {"EAGLE_EYE_SOCKET": "/nowhere/agent.sock", "HOSTNAME": "host-1"}


class WithPlugin(unittest.TestCase):
    """Every logger made here is closed at the end of its test."""

    environment = NOWHERE
    arguments = ["/usr/bin/vllm", "serve", "org/model", "--port", "8100"]

    def setUp(self):
        logging.getLogger("eagle_eye").setLevel(logging.CRITICAL)
        self.addCleanup(logging.getLogger("eagle_eye").setLevel, logging.NOTSET)
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith(("EAGLE_EYE_", "POD_"))}
        for patch in (mock.patch.dict(os.environ, {**clean, **self.environment}, clear=True),
                      mock.patch.object(sys, "argv", self.arguments)):
            patch.start()
            self.addCleanup(patch.stop)

    def plugin(self, version):
        """The stand-in of a version, and the plugin as it is under it."""
        self.standin = Standin(version)
        at_hand = installed(self.standin)
        plugin = at_hand.__enter__()
        self.addCleanup(at_hand.__exit__)
        return plugin

    def loggers(self, version="0.33.0", ranks=(0,), **settings):
        plugin = self.plugin(version)
        return self.standin.build(plugin.StatLogger, config(**settings), ranks)

    def logger(self, version="0.33.0", **settings):
        return self.loggers(version, **settings)[0]

    def module(self, name):
        return sys.modules[f"eagle_eye.vllm.{name}"]

    def reader(self, logger):
        return Reader(os.dup(logger._reporter.door._memory.fd))
