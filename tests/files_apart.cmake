# Files that are compiled by themselves: each has a name of its own that another file of its room has, too.
set(tests ${CMAKE_CURRENT_LIST_DIR})
file(GLOB files_apart CONFIGURE_DEPENDS ${tests}/gradcheck/*.cpp)
foreach(file exchange/onnx_backend exchange/onnx_export exchange/onnx kernels/gemm_highway io/idx io/npy io/pieces io/safetensors
             ops/conv2d_errors ops/numerics ops/numpy ops/op_oracle ops/op_table ops/refusals ops/threads ops/ulps ops/values)
  list(APPEND files_apart ${tests}/${file}_test.cpp)
endforeach()
set_source_files_properties(${files_apart} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
