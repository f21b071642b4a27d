# Defines the target tapegrad::openblas, for the build and for those who link an installed static library. OpenBLAS' OpenMP
# flavour is preferred where it is installed: it can be kept from starting threads under ours (kernels/gemm_blas.cpp).
if(NOT TARGET tapegrad::openblas)
  find_library(TAPEGRAD_OPENBLAS_LIBRARY openblas PATH_SUFFIXES openblas-openmp openblas)
  mark_as_advanced(TAPEGRAD_OPENBLAS_LIBRARY)
  if(TAPEGRAD_OPENBLAS_LIBRARY)
    add_library(tapegrad::openblas INTERFACE IMPORTED)
    set_target_properties(tapegrad::openblas PROPERTIES INTERFACE_LINK_LIBRARIES "${TAPEGRAD_OPENBLAS_LIBRARY}")
  endif()
endif()
