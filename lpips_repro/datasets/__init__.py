"""Datasets, from archives and folders to packed splits. Importing the package registers the datasets of its folders."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    if _module.ispkg:
        importlib.import_module(_module.name)
