#pragma once

// All of tapegrad::exchange: models and weights of other programs, in and out.
//
//   find_package(tapegrad REQUIRED COMPONENTS exchange)
//   target_link_libraries(yours PRIVATE tapegrad::exchange)

#include "tapegrad/exchange/onnx.h"
#include "tapegrad/exchange/onnx_export.h"
#include "tapegrad/exchange/pytorch.h"
#include "tapegrad/exchange/weights.h"
