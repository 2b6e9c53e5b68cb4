"""Runs the command line many times without importing torch each time: one fork a command, read as JSON lines."""

import gc
import json
import os
import sys
import traceback

import torch._dynamo  # noqa: F401  else the first optimizer of every process would import it

from bpfree.cli import commands


def serve(arguments: list[str]) -> int:
    """The exit code of a command, as Python would make it."""
    try:
        commands.main(arguments)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


gc.freeze()  # what is there now is never collected, and so never copied, in the children
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(job["cwd"])
        for number, name in ((1, job["stdout"]), (2, job["stderr"])):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        code = serve(job["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # taking the interpreter down would cost a second
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
