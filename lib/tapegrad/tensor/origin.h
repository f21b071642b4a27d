#pragma once

// Where a tensor was made. A tensor carries its Origin; only autograd/ gives that a meaning.

#include <cstdint>

#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {
namespace detail {

struct Node;

/// Which recording made a tensor, and which of its nodes.
struct Origin {
  std::uint64_t tape = 0;  // serial number, 0: made by none
  Node* node = nullptr;    // valid only while that recording is
};

}  // namespace detail
}  // namespace v0
}  // namespace tapegrad
