"""Conan 2's recipe of tapegrad: conan create tools/packaging/conan --build=missing"""

import os

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, rmdir

ROOT = os.path.join("..", "..", "..")  # of the tree that this recipe stands in


class TapegradConan(ConanFile):
    name = "tapegrad"
    version = "0.1.0"
    license = "MIT"
    description = "A minimal tape-based autodiff training framework"
    topics = ("autodiff", "training", "neural-networks")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False], "blas": [True, False], "minimal": [True, False]}
    default_options = {"shared": False, "fPIC": True, "blas": True, "minimal": False}

    def export_sources(self):
        root = os.path.join(self.recipe_folder, ROOT)
        for pattern in ("CMakeLists.txt", "LICENSE", "lib/*"):
            copy(self, pattern, src=root, dst=self.export_sources_folder)

    def configure(self):
        if self.options.shared:
            self.options.rm_safe("fPIC")

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        self.requires("fmt/[>=9 <12]")
        self.requires("highway/[>=1.0.3 <2]")
        if not self.options.minimal:
            self.requires("zlib/[>=1.2.13 <2]")
            self.requires("libpng/[>=1.6 <2]")
            self.requires("libjpeg/9e")
            if self.options.blas:
                self.requires("openblas/[>=0.3.21 <0.4]")

    def validate(self):
        check_min_cppstd(self, 20)
        if self.settings.os != "Linux" or self.settings.arch != "x86_64":
            raise ConanInvalidConfiguration("tapegrad has been tried on Linux and x86_64 alone")

    def generate(self):
        dependencies = CMakeDeps(self)
        dependencies.set_property("highway", "cmake_file_name", "hwy")  # as Highway itself installs it
        dependencies.set_property("highway::hwy", "cmake_target_name", "hwy::hwy")
        dependencies.generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["TAPEGRAD_BLAS"] = bool(self.options.blas)
        toolchain.cache_variables["TAPEGRAD_MINIMAL"] = bool(self.options.minimal)
        toolchain.cache_variables["TAPEGRAD_EXCHANGE"] = False
        for part in ("EXAMPLES", "TESTS", "TOOLS"):
            toolchain.cache_variables["TAPEGRAD_BUILD_" + part] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", src=self.source_folder, dst=os.path.join(self.package_folder, "licenses"))
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))
        rmdir(self, os.path.join(self.package_folder, "share"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "tapegrad")
        library, c = self.cpp_info.components["tapegrad"], self.cpp_info.components["c"]
        library.libs = ["tapegrad"]
        library.set_property("cmake_target_name", "tapegrad::tapegrad")
        library.set_property("pkg_config_name", "tapegrad")
        library.requires = ["fmt::fmt", "highway::hwy"]
        if self.options.minimal:
            library.defines = ["TAPEGRAD_MINIMAL"]
        else:
            library.requires += ["zlib::zlib", "libpng::libpng", "libjpeg::libjpeg"]
            if self.options.blas:
                library.requires.append("openblas::openblas")
        library.system_libs = ["pthread", "dl", "m"]
        c.libs = ["tapegrad_c"]
        c.set_property("cmake_target_name", "tapegrad::c")
        c.set_property("pkg_config_name", "tapegrad_c")
        c.requires = ["tapegrad"]
