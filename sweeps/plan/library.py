"""Knows the tasks and algorithms that are registered, and which gin bindings belong to each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..gin import registries, user_modules
from ..gin.bindings import Binding, Source, calling
from ..gin.files import packaged
from ..gin.parse import read_file
from .definition import Sweep

SWEEP = "lambdapress.sweeps.sweep"
"""Gin's full name of `Sweep`."""


@dataclasses.dataclass(frozen=True)
class Library:
    """Keeps the registered tasks and algorithms, and the gin files that the package has for them.

    Attributes:
      defaults: the content of each task's and algorithm's gin file, by name; empty where there is no file.
      owners: the task or algorithm that each of gin's full selectors configures.
      registered: the tasks and algorithms of each imported module that registers anything.
      hashes: the SHA-256 of the code of those modules that have a task or algorithm.
    """

    defaults: Mapping[str, Source]
    owners: Mapping[str, str]
    registered: Mapping[str, set[str]]
    hashes: Mapping[str, str]

    @staticmethod
    def collect(source: Source) -> Library:
        tasks, algorithms = registries.tasks(), registries.algorithms()
        defaults, owners = {}, {}
        for kind, names in (("tasks", tasks.names()), ("algorithms", algorithms.names())):
            files = packaged(kind)
            for name in names:
                owners[f"lambdapress.{kind}.{name}"] = name
                defaults[name] = read_file(files[name]) if name in files else Source()
        names_by_module = {module: user_modules.registered_by(module) for module in source.modules()}
        registered = {module: names for module, names in names_by_module.items() if names is not None}
        hashes = {module: user_modules.code_hash(module) for module, names in registered.items() if names}
        return Library(defaults, owners, registered, hashes)

    def only(self, used: set[str], source: Source) -> Source:
        """Returns the bindings of `source` for names in `used`, or for no task, algorithm or sweep."""

        def belongs(binding: Binding) -> bool:
            owner = self.owners.get(binding.selector)
            return binding.selector != SWEEP and (owner is None or owner in used)

        return source.only(belongs)

    def uses_lmbda(self, sweep: Sweep) -> dict[str, bool]:
        """Tells for each algorithm of the sweep whether it uses λ; checks all names in the sweep."""
        tasks, algorithms = registries.tasks(), registries.algorithms()
        for task in sweep.tasks:
            calling("sweep.tasks", tasks.get, task)
        if isinstance(sweep.lmbdas, Mapping):
            for name in sweep.lmbdas:
                calling("sweep.lmbdas", algorithms.get, name)
        classes = {a: calling("sweep.algorithms", algorithms.get, a) for a in sweep.algorithms}
        return {name: cls.uses_lmbda for name, cls in classes.items()}
