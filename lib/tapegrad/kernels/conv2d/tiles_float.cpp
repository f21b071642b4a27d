#define TAPEGRAD_CONV2D_NUMBER float
#include "tapegrad/kernels/conv2d/tiles_internal.h"
