#define TAPEGRAD_CONV2D_NUMBER double
#include "tapegrad/kernels/conv2d/tiles_internal.h"
