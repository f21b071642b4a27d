// The public headers after those of X11 and Windows, which define words as macros (here: with values that make a use an
// error). Compiled only: the test fails when a header uses one of the words, or when a function cannot be called.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

// X11/X.h and X11/Xlib.h
#define None 0L
#define Bool int
#define Status int
#define True 1
#define False 0
#define Success 0
#define Always 2
#define Never 0
#define Unsorted 0
#define Above 0
#define Below 1
#define CurrentTime 0L
#define KeyPress 2
#define FocusIn 9
#define Complex 0
// windows.h
#define min(a, b) (((a) < (b)) ? (a) : (b))
#define max(a, b) (((a) > (b)) ? (a) : (b))
#define near
#define far
#define small char
#define IN
#define OUT
#define OPTIONAL
#define ERROR 0
#define DELETE 1
#define IGNORE 0
#define INFINITE 0xFFFFFFFF
#define NO_ERROR 0L
#define interface struct
#define CONST const
#define DOMAIN 1
#define OVERFLOW 3
#define CreateWindow CreateWindowW
#define GetObject GetObjectW
#define DrawText DrawTextW
// complex.h
#define I (1.0)

#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

tg::Tensor largest(const tg::Tensor& x) {
  return (tg::max)(x, 1, {.keepdims = true}) - (tg::min)(x) + tg::maximum(x, 0.0);
}

tg::Tensor losses(const tg::Tensor& x) {
  return tg::mse_loss(x, x, {.reduction = tg::Reduction::PerElement});
}
