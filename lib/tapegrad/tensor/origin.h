#pragma once

#include <cstdint>

#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {
namespace detail {

struct Node;

/// Which tape made a tensor, and which of its nodes. Only autograd/ gives these a meaning; a tensor carries
/// them.
struct Origin {
  std::uint64_t tape = 0;  // serial number, 0: made by none
  Node* node = nullptr;    // valid only while that tape is
};

/// The scopes that are open on a thread, innermost first: tapes, and pauses of recording. They live in the
/// objects that the user holds (Tape, NoGrad).
struct Scope {
  std::uint64_t tape = 0;  // 0: recording is paused in this scope, or its tape is spent
  Scope* outer = nullptr;
};
inline Scope*& innermost_scope() {
  constinit thread_local Scope* scope = nullptr;
  return scope;
}

/// Whether a tape of the calling thread with this serial number is recording.
bool is_open(std::uint64_t tape);

}  // namespace detail
}  // namespace TAPEGRAD_API
}  // namespace tapegrad
