"""Imports of a run, done once in the server that all runs are forked from (`bpfree.studies.workers`)."""

import gc
import signal
import sys

import codecarbon  # noqa: F401
import torch._dynamo  # noqa: F401  # the first optimizer of a process imports it

import bpfree.runs.train  # noqa: F401

if "multiprocessing.forkserver" in " ".join(sys.orig_argv):  # not where a test or documentation imports all modules
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # sent to the whole group, it is for the run, and the server stays
    gc.freeze()  # the garbage collector never visits what is there now, so that its pages stay shared with the runs
