#pragma once

// Makes Sequential(Conv2D(..., g), Dense(..., g)) draw the same weights with every compiler.

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

/// How the initial values of a module's tensors were drawn. C++ lets a compiler construct the arguments of a function
/// in any order: a constructor that takes modules uses this record to draw in the order of its arguments. A module that
/// is moved forgets it: a module with a name was made by a statement of its own, in a defined order.
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

/// Redraws the values of these modules, which were just constructed from the same generators, as if they had been
/// constructed in this order; owner takes over their records. Throws when the order differs and something else was
/// drawn in between.
void draw_in_order(std::initializer_list<Module*> modules, Module& owner);

}  // namespace detail
}  // namespace v0
}  // namespace tapegrad
