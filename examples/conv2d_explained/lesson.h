#pragma once

#include <string_view>

#include "tapegrad/tensor/tensor.h"

namespace conv2d_explained {

namespace tg = tapegrad;

/// What the sections tell their story with: it prints, and it remembers whether every claim held.
class Lesson {
 public:
  /// A paragraph, wrapped.
  void say(std::string_view text);
  /// Lines as they are.
  void print(std::string_view lines);
  /// The title of a part of a section.
  void heading(std::string_view text);
  /// A tensor with its name and shape. Axes of size 1 around a plane are not printed.
  void show(std::string_view name, const tg::Tensor& x);
  /// A claim, and whether it is so.
  void check(std::string_view claim, bool holds);

  int claims() const { return claims_; }
  int failures() const { return failures_; }

 private:
  void begin_block();

  bool after_claim_ = false;  // claims stand together, all else is set apart by an empty line
  int claims_ = 0, failures_ = 0;
};

}  // namespace conv2d_explained
