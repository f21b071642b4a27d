#define TAPEGRAD_CONV2D_NUMBER double
#include "tapegrad/kernels/conv2d/depthwise_tiles_internal.h"
