"""Recipe for Conan 2. Highway, OpenMP and MPI are the system's; where a package of Debian's is missing, Conan says so.

conan create packages/conan -s compiler.cppstd=20 --build=missing
"""

import re
from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load
from conan.tools.system.package_manager import Apt


class Unitvar(ConanFile):
    name = "unitvar"
    description = "Normalization layers for neural networks, batch normalization first"
    license = "Apache-2.0"
    topics = ("batch-normalization", "deep-learning", "simd")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "mpi": [True, False]}
    default_options = {"shared": False, "mpi": False}

    def _source(self):
        return Path(self.recipe_folder).parent.parent

    def set_version(self):
        project = load(self, self._source() / "CMakeLists.txt")
        self.version = re.search(r"project\(unitvar VERSION ([0-9.]+)", project)[1]

    def export_sources(self):
        for pattern in ("CMakeLists.txt", "LICENSE", "cmake/*", "include/*", "src/*"):
            copy(self, pattern, self._source(), self.export_sources_folder)

    def layout(self):
        cmake_layout(self)

    def validate(self):
        check_min_cppstd(self, 20)

    def system_requirements(self):
        Apt(self).install(["libhwy-dev"] + (["libopenmpi-dev"] if self.options.mpi else []), check=True)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables.update(
            UNITVAR_BUILD_TOOLS=False,
            UNITVAR_BUILD_TESTS=False,
            UNITVAR_BUILD_BENCH=False,
            UNITVAR_MPI=bool(self.options.mpi),
        )
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE", self.source_folder, Path(self.package_folder) / "licenses")
        CMake(self).install()

    def package_info(self):
        self.cpp_info.set_property("cmake_find_mode", "none")  # the library has a unitvarConfig.cmake of its own
        self.cpp_info.builddirs = ["lib/cmake/unitvar"]
