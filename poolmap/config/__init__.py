"""The typed config: every key, its default and its message. `load_config` reads and checks a file."""

from poolmap.config.load import Config, derive_seed, load_config

__all__ = ["Config", "derive_seed", "load_config"]
