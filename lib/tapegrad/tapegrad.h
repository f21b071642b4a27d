#pragma once

// The one header that most programs include.

#include "tapegrad/autograd/record.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/error.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"
#include "tapegrad/gradcheck/gradcheck.h"
#include "tapegrad/nn/initializers.h"
#include "tapegrad/nn/layers.h"
#include "tapegrad/nn/losses.h"
#include "tapegrad/nn/module.h"
#include "tapegrad/ops/conv2d.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/matmul.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/optim/optimizers.h"
#include "tapegrad/tensor/state.h"
#include "tapegrad/tensor/tensor.h"
