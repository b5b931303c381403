"""Tests the public face: importing it and using it prints nothing that a dependency has to say."""

from __future__ import annotations

import subprocess
import sys

import pytest

USES = {
    "the import": "import lambdapress.framework, lambdapress.sweeps",
    "every name": "import lambdapress.framework as f; [getattr(f, name) for name in f.__all__]",
    "every task": "from lambdapress.framework import tasks; tasks.names()",
    "a sweep": "from lambdapress.sweeps.plan.plan import plan; plan('digits')",
}


@pytest.mark.parametrize("use", USES)
def test_a_python_user_sees_no_warning(use, tmp_path):
    """TensorFlow's own C++ log, which the user's environment governs, is left out."""
    ran = subprocess.run(
        [sys.executable, "-c", USES[use]],
        cwd=tmp_path,
        env={"TF_CPP_MIN_LOG_LEVEL": "3", "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
