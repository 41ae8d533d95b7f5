"""Name the packages: the repository root is `loragraph`, every package folder below it `loragraph.<its path>`.

Everything else stands in pyproject.toml. This one list can't, because setuptools' own search names packages by their
path below the root and can't put `loragraph.` before them; and a list kept by hand would one day miss a new folder.
"""

from setuptools import find_packages, setup

NOT_SHIPPED = ("tests", "benchmarks")

below = find_packages(exclude=[pattern for name in NOT_SHIPPED for pattern in (name, f"{name}.*")])
# `script_name` keeps this file itself, which lies in the root package's folder, from being taken for a module of it.
setup(script_name="setup.py", packages=["loragraph", *(f"loragraph.{name}" for name in below)])
