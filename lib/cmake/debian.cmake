# The target "package" makes a Debian package of what is installed: libraries, headers, CMake's files and pkg-config's.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME libtapegrad-dev)
set(CPACK_PACKAGE_VENDOR "The tapegrad authors")
set(TAPEGRAD_PACKAGE_MAINTAINER "The tapegrad authors <tapegrad@localhost>" CACHE STRING "Who makes the Debian package")
mark_as_advanced(TAPEGRAD_PACKAGE_MAINTAINER)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER ${TAPEGRAD_PACKAGE_MAINTAINER})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "g++ (>= 4:12), libfmt-dev") # libfmt-dev for tapegrad/base/fmt.h
# A shared library tells dpkg-shlibdeps what it needs; a static one needs what it is linked with later.
if(BUILD_SHARED_LIBS)
  find_program(TAPEGRAD_SHLIBDEPS dpkg-shlibdeps)
  mark_as_advanced(TAPEGRAD_SHLIBDEPS)
  if(TAPEGRAD_SHLIBDEPS)
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_CURRENT_BINARY_DIR}) # one library of the package needs the other
  endif()
  set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON) # which also has ldconfig run
else()
  set(CPACK_DEBIAN_PACKAGE_DEPENDS "libfmt-dev, libhwy-dev, zlib1g-dev, libpng-dev, libjpeg62-turbo-dev | libjpeg-dev")
  if(TAPEGRAD_BLAS)
    string(PREPEND CPACK_DEBIAN_PACKAGE_DEPENDS "libopenblas-openmp-dev | libopenblas-dev, ")
  endif()
endif()
include(CPack)
