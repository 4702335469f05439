"""Optional packages, imported on first use."""

from importlib import import_module
from types import ModuleType

from sanderling.errors import DependencyError


def require(module: str, extra: str) -> ModuleType:
    """The imported `module`; DependencyError naming `extra` when it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise DependencyError(
            f"expected the package {package}, found none ({error}); "
            f"run: pip install 'sanderling[{extra}]'"
        ) from error
