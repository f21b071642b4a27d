// The macros of <X11/Xlib.h> and of <windows.h>, of which a program may include either before our headers. Those of the
// standard library come first: they do not survive such macros.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <random>
#include <ranges>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#define None 0L
#define Bool int
#define Status int
#define True 1
#define False 0
#define Always 2
#define Never 0
#define Success 0
#define Unsorted 0
#define Above 0
#define Below 1
#define Complex 0
#define Convex 2
#define Expose 12
#define KeyPress 2
#define CurrentTime 0L
#define min(a, b) (((a) < (b)) ? (a) : (b))
#define max(a, b) (((a) > (b)) ? (a) : (b))
#define near
#define far
#define small char
#define interface struct
#define ERROR 0
#define IN
#define OUT
#define OPTIONAL
#define CONST const
#define VOID void
#define TRUE 1
#define FALSE 0
#define DELETE 0x00010000L
#define NO_ERROR 0L
#define RGB(r, g, b) 0
#define IGNORE 0
#define INFINITE 0xFFFFFFFF
#define DOMAIN 1
#define OVERFLOW 3
#define FocusIn 9
#define DrawText DrawTextW

#include "tapegrad/tapegrad.h"

// What bears the name of a macro can be called, in parentheses.
tapegrad::Tensor spread(const tapegrad::Tensor& x);
tapegrad::Tensor spread(const tapegrad::Tensor& x) {
  return (tapegrad::max)(x, 1, {.keepdims = true}) - (tapegrad::min)(x) + tapegrad::maximum(x, 0.0);
}

tapegrad::LossOptions each();
tapegrad::LossOptions each() {
  return {.reduction = tapegrad::Reduction::PerElement};
}
