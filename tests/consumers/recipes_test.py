#!/usr/bin/env python3
"""Checks the form of the recipes of package managers, without these and without a network.

 - vcpkg.json has the fields that vcpkg demands, and the version and the features that CMake knows.
 - conanfile.py does what Conan would have it do, with Conan's classes replaced by small ones.
"""

import fnmatch
import importlib.util
import json
import os
import re
import sys
import types

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PACKAGING = os.path.join(ROOT, "tools", "packaging")
failures = []


def expect(holds, what):
    if not holds:
        failures.append(what)


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def check_vcpkg(version, options):
    port = os.path.join("tools", "packaging", "vcpkg", "ports", "tapegrad")
    manifest = json.loads(read(port, "vcpkg.json"))
    known = {"$schema", "name", "version", "description", "license", "supports", "dependencies", "default-features", "features"}
    expect(set(manifest) <= known, f"vcpkg.json must have no other fields than {known}, got {set(manifest)}")
    expect(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", manifest["name"]), "the port's name must be in lower case")
    expect(manifest["name"] == "tapegrad" and manifest["version"] == version, f"vcpkg.json must be of tapegrad {version}")
    expect(set(manifest["default-features"]) <= set(manifest["features"]), "default features must be features")
    names = list(manifest["dependencies"])
    for name, feature in manifest["features"].items():
        expect(set(feature) == {"description", "dependencies"}, f"the feature {name} must have a description and dependencies")
        names += feature["dependencies"]
    for one in names:
        name = one["name"] if isinstance(one, dict) else one
        expect(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name), f"a dependency must have a port's name, got {name}")
    script = read(port, "portfile.cmake")
    calls = set(re.findall(r"^(\w+)\(", script, re.M))
    allowed = {"vcpkg_check_features", "vcpkg_cmake_configure", "vcpkg_cmake_install", "vcpkg_cmake_config_fixup",
               "vcpkg_fixup_pkgconfig", "vcpkg_install_copyright", "file", "get_filename_component"}
    expect(calls <= allowed, f"portfile.cmake calls what vcpkg does not have: {calls - allowed}")
    for option in re.findall(r"TAPEGRAD_\w+", script):
        expect(option in options, f"portfile.cmake sets {option}, which CMakeLists.txt does not know")


class Options(types.SimpleNamespace):
    def rm_safe(self, name):
        self.__dict__.pop(name, None)


class Component(types.SimpleNamespace):
    def __init__(self):
        super().__init__(libs=[], requires=[], defines=[], system_libs=[], properties={})

    def set_property(self, name, value):
        self.properties[name] = value


class Components(dict):
    def __missing__(self, name):
        self[name] = Component()
        return self[name]


class Recorder:
    """Stands for a class or function of Conan's: remembers what was asked of it."""
    def __init__(self, *_):
        self.cache_variables, self.properties = {}, []
        Recorder.last = self

    def set_property(self, *what):
        self.properties.append(what)

    def generate(self):
        Recorder.toolchain = getattr(self, "cache_variables")

    def configure(self):
        pass

    build = install = configure


def fake_conan(copied):
    class ConanFile:
        def __init__(self):
            self.required, self.cpp_info = [], Component()
            self.cpp_info.components = Components()
            self.recipe_folder = os.path.join(PACKAGING, "conan")
            self.export_sources_folder = self.source_folder = self.package_folder = "/nowhere"
            self.settings = types.SimpleNamespace(os="Linux", arch="x86_64")

        def requires(self, reference):
            self.required.append(reference)

    def copy(_, pattern, src, dst):
        del dst
        if src != "/nowhere":
            copied.append((pattern, src))

    modules = {"conan": {"ConanFile": ConanFile}, "conan.errors": {"ConanInvalidConfiguration": type("Refused", (Exception,), {})},
               "conan.tools": {}, "conan.tools.build": {"check_min_cppstd": lambda *_: None, "can_run": lambda _: True},
               "conan.tools.cmake": {"CMake": Recorder, "CMakeDeps": Recorder, "CMakeToolchain": Recorder,
                                     "cmake_layout": lambda _: None},
               "conan.tools.files": {"copy": copy, "rmdir": lambda *_: None}}
    for name, members in modules.items():
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__dict__.update(members)


def load(*path):
    spec = importlib.util.spec_from_file_location("recipe", os.path.join(PACKAGING, *path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_conan(version, options):
    copied = []
    fake_conan(copied)
    recipe = load("conan", "conanfile.py").TapegradConan
    expect(recipe.name == "tapegrad" and recipe.version == version, f"conanfile.py must be of tapegrad {version}")
    for minimal in (False, True):
        made = recipe()
        made.options = Options(**{**recipe.default_options, "minimal": minimal, "shared": True})
        for method in ("export_sources", "configure", "layout", "requirements", "validate", "generate", "build", "package",
                       "package_info"):
            getattr(made, method)()
        expect(not hasattr(made.options, "fPIC"), "a shared library has no option fPIC")
        expect(len(made.required) == (2 if minimal else 6), f"packages that are needed: {made.required}")
        for reference in made.required:
            expect(re.fullmatch(r"[a-z0-9]+/(\[[^\]]+\]|[\w.]+)", reference), f"a package's reference, got {reference}")
        for option in Recorder.toolchain:
            expect(option in options, f"conanfile.py sets {option}, which CMakeLists.txt does not know")
        expect(Recorder.toolchain["TAPEGRAD_MINIMAL"] == minimal, "the option minimal must reach CMake")
        library = made.cpp_info.components["tapegrad"]
        needed = {reference.split("::")[0] for reference in library.requires}
        expect(needed == {reference.split("/")[0] for reference in made.required}, f"components need {needed}")
        expect(library.defines == (["TAPEGRAD_MINIMAL"] if minimal else []), "the definition of a minimal library")
    for pattern, folder in copied:
        files = [os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(os.path.join(folder, "lib"))
                 for name in names] + os.listdir(folder)
        expect(fnmatch.filter(files, pattern), f"the recipe takes {pattern}, which is not in the tree")
    expect(len(copied) == 6, "the recipe must take the tree's files")
    load("conan", "test_package", "conanfile.py")


def main():
    cmake = read("CMakeLists.txt")
    version = re.search(r"project\(tapegrad VERSION ([\d.]+)", cmake)[1]
    options = set(re.findall(r"option\((\w+)", cmake))
    check_vcpkg(version, options)
    check_conan(version, options)
    sys.exit("\n".join(failures) if failures else 0)


main()
