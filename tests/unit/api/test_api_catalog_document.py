"""The document of the whole catalog: it is made, and each of its shapes has a name of its own, by which clients call it."""

from __future__ import annotations

import importlib
import pkgutil
from collections import defaultdict

import msgspec
import runink.operations.catalog
from openapi_spec_validator import OpenAPIV31SpecValidator
from runink.api.openapi import document
from runink.operations.catalog.table import CATALOG
from runink.operations.declarations import Table


def test_the_document_of_the_whole_catalog_is_made():
    made = document(Table(CATALOG), version="1")
    assert OpenAPIV31SpecValidator(made).is_valid()


def test_no_two_shapes_of_the_catalog_have_one_name():
    places: dict[str, set[str]] = defaultdict(set)
    for module in pkgutil.iter_modules(runink.operations.catalog.__path__):
        found = importlib.import_module(f"runink.operations.catalog.{module.name}")
        for one in vars(found).values():
            if isinstance(one, type) and issubclass(one, msgspec.Struct):
                places[one.__name__].add(one.__module__)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
