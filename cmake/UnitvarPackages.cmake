# Debian packages, by CPack, of a build with BUILD_SHARED_LIBS: script/packages makes them.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME unitvar)
set(CPACK_PACKAGE_VENDOR unitvar)
set(CPACK_PACKAGE_CONTACT "unitvar developers <unitvar@localhost>")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL runtime mpi development tool)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION math)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)

set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "Normalization layers for neural networks: shared library
 Batch, layer, RMS, group and instance normalization with exact analytic
 gradients, for C++20, C99 and what calls C.")
set(CPACK_COMPONENT_MPI_DESCRIPTION "Normalization layers for neural networks: ranks on MPI
 Synchronized batch normalization over the processes of MPI.")
set(CPACK_COMPONENT_MPI_DEPENDS runtime)
set(CPACK_DEBIAN_MPI_PACKAGE_NAME libunitvar-mpi0)
set(CPACK_DEBIAN_MPI_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_DEVELOPMENT_DEPENDS runtime mpi)
set(CPACK_COMPONENT_TOOL_DEPENDS runtime mpi)
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Normalization layers for neural networks: headers and libraries
 What programs in C++ and C are built with.")
set(CPACK_COMPONENT_TOOL_DESCRIPTION "Normalization layers for neural networks: command line tool
 Checks anyone's gradient, trains an experiment, measures speed.")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libunitvar0)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libunitvar-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_TOOL_PACKAGE_NAME unitvar)
set(CPACK_DEBIAN_TOOL_PACKAGE_RECOMMENDS "gnuplot-nox")
include(CPack)
