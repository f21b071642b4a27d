#pragma once

// What lets Sequential(Conv2D(..., g), Dense(..., g)) draw the same weights with every compiler.

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <vector>

#include "tapegrad/base/random.h"
#include "tapegrad/tensor/tensor.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

class Module;

namespace detail {

/// How the first values of a module's tensors were drawn. C++ lets a compiler make the arguments of a function
/// in any order: what takes modules as arguments uses this to draw in the order of its list. A module that is
/// moved forgets it: a module with a name was made by a statement of its own, in a defined order.
class Draws {
 public:
  struct Draw {
    Generator::Position before, after;         ///< of the generator
    Tensor target;                             ///< the tensor that got the values
    std::uint64_t version;                     ///< of its elements; another one if they were changed since
    std::function<Tensor(Generator&)> values;  ///< draws them
  };

  Draws() = default;
  Draws(Draws&& other) noexcept { other.list.clear(); }
  Draws& operator=(Draws&& other) noexcept {
    list.clear();
    other.list.clear();
    return *this;
  }

  std::vector<Draw> list;
};

/// Makes the values of these modules, just made and all from the same generators, those that they would have
/// if they had been made in this order; owner takes over what they know about it. Throws when something else
/// was drawn in between and the order differs.
void draw_in_order(std::initializer_list<Module*> modules, Module& owner);

}  // namespace detail
}  // namespace v0
}  // namespace tapegrad
