"""Planted faults: files and folders that several threads, processes or studies use."""

from planted.fault import Mutant

WORKERS = "studies/test_workers.py::"

MUTANTS = {
    "files: one temporary name for all threads": Mutant(
        "training/files.py",
        "-{threading.get_ident()}",
        "",
        ["training/test_checkpoint.py::test_threads_that_write_one_file_do_not_meet"],
    ),
    "files: a lock file that is left": Mutant(
        "training/files.py",
        "            Path(lock.lock_file).unlink(missing_ok=True)\n",
        "            pass\n",
        ["training/test_checkpoint.py::test_a_closed_folder_keeps_no_lock_file"],
    ),
    "workers: a job that holds no lock": Mutant(
        "studies/workers.py",
        'locked(folder, "stop it", lock) if folder else nullcontext()',
        "nullcontext()",
        [WORKERS + "test_killed_study_keeps_its_folder_until_its_run_has_ended[forkserver]"],
    ),
    "workers: a job whose study is gone": Mutant(
        "studies/workers.py",
        "if parent is not None and parent.is_alive():",
        "if True:",
        [WORKERS + "test_job_that_comes_too_late_for_its_study_does_nothing[False]"],
    ),
    "workers: live jobs overlooked": Mutant(
        "studies/workers.py",
        'folder.glob(f"{LOCK}-*")',
        "()",
        [WORKERS + "test_folder_with_a_live_job_is_refused"],
    ),
    "workers: the caller's script runs in every job": Mutant(
        "studies/workers.py",
        'sys.modules["__main__"] = ModuleType("__main__")',
        "pass",
        [WORKERS + "test_killed_study_keeps_its_folder_until_its_run_has_ended[forkserver]"],
    ),
    "workers: a run begun after a stop": Mutant(
        "studies/workers.py",
        "if self.stopped:",
        "if False:",
        [WORKERS + "test_nothing_begins_after_a_stop"],
    ),
    "workers: a stop that is lost": Mutant(
        "studies/workers.py",
        '                self._pipe.send_bytes(b"stop")\n',
        "                pass\n",
        [WORKERS + "test_stop_is_a_sigterm_to_the_job[forkserver]"],
    ),
}
