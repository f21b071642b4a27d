# Files that are compiled by themselves: each has a name of its own that another file of its room has, too.
set(tests ${CMAKE_CURRENT_LIST_DIR})
file(GLOB files_apart CONFIGURE_DEPENDS ${tests}/gradcheck/*.cpp)
foreach(file exchange/onnx_backend exchange/onnx_export exchange/onnx io/idx io/npy io/pieces io/safetensors
             ops/conv2d_errors ops/numerics ops/numpy ops/op_oracle ops/refusals ops/values)
  list(APPEND files_apart ${tests}/${file}_test.cpp)
endforeach()
# Files with loops over millions of terms beside the library's: a little optimization, which takes as long to compile, saves minutes
# where each access is checked by a sanitizer. And the table of ops: each program that runs one test of ops registers thousands first.
set(files_with_loops)
foreach(file kernels/conv2d_depthwise kernels/conv2d_direct kernels/gemm_highway kernels/index kernels/relu_backward ops/conv2d_property
             ops/op_table ops/threads ops/ulps)
  list(APPEND files_with_loops ${tests}/${file}_test.cpp)
endforeach()
set_source_files_properties(${files_with_loops} PROPERTIES COMPILE_OPTIONS "$<$<CONFIG:Release>:${optimize_little}>"
                                                           SKIP_PRECOMPILE_HEADERS ON) # which are not optimized
set_source_files_properties(${files_apart} ${files_with_loops} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
