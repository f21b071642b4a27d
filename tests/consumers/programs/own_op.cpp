// An op of one's own, and gradcheck, which tells a right rule from a wrong one.
#include <iostream>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

tg::Tensor cube(const tg::Tensor& x, double factor) {
  tg::Tensor y;
  {
    const tg::NoGrad no_grad;  // the tape records the op, not the products that it is made of
    y = x * x * x;
  }
  return tg::record(
      "cube", y, {{x, [x = tg::Saved(x), factor](const tg::Tensor& g) { return g * (factor * x() * x()); }}});
}

int main() {
  tg::Generator generator(1);
  const tg::Tensor x = tg::uniform({3, 4}, -2, 2, generator, tg::DType::Float64);
  const auto report_for = [&](double factor) {
    return tg::gradcheck([factor](const std::vector<tg::Tensor>& in) { return cube(in[0], factor); }, {x});
  };
  std::cout << report_for(3).str() << report_for(2).str();
  const auto second = tg::gradcheck_second_order([](const auto& in) { return cube(in[0], 3); }, {x});
  return report_for(3).passed && !report_for(2).passed && second.passed ? 0 : 1;
}
