# Run by CPack before it packs: what Debian expects of a package beside what is installed, its licence and a changelog; and that
# the system chooses which OpenBLAS is loaded, not the library.
file(GLOB libraries ${CPACK_TEMPORARY_DIRECTORY}/usr/lib*/libtapegrad.so.*.*.*)
foreach(library IN LISTS libraries)
  file(RPATH_REMOVE FILE ${library})
endforeach()
set(doc ${CPACK_TEMPORARY_DIRECTORY}/usr/share/doc)
file(MAKE_DIRECTORY ${doc}/${CPACK_PACKAGE_NAME})
file(RENAME ${doc}/tapegrad/LICENSE ${doc}/${CPACK_PACKAGE_NAME}/copyright)
file(REMOVE_RECURSE ${doc}/tapegrad)
set(ENV{LC_ALL} C)
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # of SOURCE_DATE_EPOCH, if that is set
file(WRITE ${doc}/${CPACK_PACKAGE_NAME}/changelog
     "${CPACK_PACKAGE_NAME} (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium\n\n  * Packed by CPack. lib/CHANGES.md in the sources lists the changes.\n\n"
     " -- ${CPACK_DEBIAN_PACKAGE_MAINTAINER}  ${date}\n")
execute_process(COMMAND gzip -9n ${doc}/${CPACK_PACKAGE_NAME}/changelog COMMAND_ERROR_IS_FATAL ANY)
