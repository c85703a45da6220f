"""Finds the packages: `components/` and `pipelines/` stand at the top of the repository and are installed as well."""

from setuptools import find_packages, setup

TOP = {"histoforge_components": "components", "histoforge_pipelines": "pipelines"}

packages = find_packages("src")
for name, folder in TOP.items():
    packages += [name, *(f"{name}.{inner}" for inner in find_packages(folder))]

setup(packages=packages)
