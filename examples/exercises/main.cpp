// Exercises: write a backward pass by hand, in loops, and let gradcheck_backward() say what is wrong with it.
//
//   exercises                      a tour: for each exercise wrong attempts, and the reports they get
//   exercises --exercise 2         checks yours_2() below: edit it until it passes
//   exercises --exercise 2 --solution

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "common/command_line.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;
using tg::index_t;
using tg::Tensor;
using Tensors = std::vector<Tensor>;

namespace {

void add(Tensor& to, std::initializer_list<index_t> at, double value) {
  to.set(at, to.at(at) + value);
}

// ---- Exercise 1: y[p] = sum over i of x[p + i] w[i]

Tensor forward_1(const Tensors& in) {
  const Tensor &x = in[0], &w = in[1];
  Tensor y = tg::zeros({x.size() - w.size() + 1}, tg::DType::Float64);
  for (index_t p = 0; p < y.size(); ++p)
    for (index_t i = 0; i < w.size(); ++i) add(y, {p}, x.at({p + i}) * w.at({i}));
  return y;
}

// Your turn: dy[p] is the gradient of y[p]. Every product x[p + i] w[i] of the forward pass gives one term to
// dx and one to dw.
Tensors yours_1(const Tensors& in, const Tensor& /*y*/, const Tensor& /*dy*/) {
  return {tg::zeros_like(in[0]), tg::zeros_like(in[1])};
}

Tensors overwritten_1(const Tensors& in, const Tensor& y, const Tensor& dy) {
  const Tensor &x = in[0], &w = in[1];
  Tensor dx = tg::zeros_like(x), dw = tg::zeros_like(w);
  for (index_t p = 0; p < y.size(); ++p)
    for (index_t i = 0; i < w.size(); ++i) {
      dx.set({p + i}, dy.at({p}) * w.at({i}));
      add(dw, {i}, dy.at({p}) * x.at({p + i}));
    }
  return {dx, dw};
}

Tensors forgotten_1(const Tensors& in, const Tensor& y, const Tensor& dy) {
  const Tensor &x = in[0], &w = in[1];
  Tensor dx = tg::zeros_like(x), dw = tg::zeros_like(w);
  for (index_t p = 0; p < y.size(); ++p)
    for (index_t i = 0; i < w.size(); ++i) {
      add(dx, {p + i}, dy.at({p}) * w.at({i}));
      add(dw, {i}, x.at({p + i}));
    }
  return {dx, dw};
}

Tensors solution_1(const Tensors& in, const Tensor& y, const Tensor& dy) {
  const Tensor &x = in[0], &w = in[1];
  Tensor dx = tg::zeros_like(x), dw = tg::zeros_like(w);
  for (index_t p = 0; p < y.size(); ++p)
    for (index_t i = 0; i < w.size(); ++i) {
      add(dx, {p + i}, dy.at({p}) * w.at({i}));
      add(dw, {i}, dy.at({p}) * x.at({p + i}));
    }
  return {dx, dw};
}

// ---- Exercise 2: the same for an image [1, h, w, in] and filters [kh, kw, in, out], with stride 2

constexpr index_t kStride = 2;

// Calls term(p, q, i, j, c, o) for every product x[0, 2p + i, 2q + j, c] w[i, j, c, o] in y[0, p, q, o].
template <class Term>
void for_each_term(const Tensor& y, const Tensor& w, Term&& term) {
  for (index_t p = 0; p < y.shape()[1]; ++p)
    for (index_t q = 0; q < y.shape()[2]; ++q)
      for (index_t i = 0; i < w.shape()[0]; ++i)
        for (index_t j = 0; j < w.shape()[1]; ++j)
          for (index_t c = 0; c < w.shape()[2]; ++c)
            for (index_t o = 0; o < w.shape()[3]; ++o) term(p, q, i, j, c, o);
}

Tensor forward_2(const Tensors& in) {
  const Tensor &x = in[0], &w = in[1];
  Tensor y = tg::zeros({1, (x.shape()[1] - w.shape()[0]) / kStride + 1,
                        (x.shape()[2] - w.shape()[1]) / kStride + 1, w.shape()[3]},
                       tg::DType::Float64);
  for_each_term(y, w, [&](index_t p, index_t q, index_t i, index_t j, index_t c, index_t o) {
    add(y, {0, p, q, o}, x.at({0, p * kStride + i, q * kStride + j, c}) * w.at({i, j, c, o}));
  });
  return y;
}

// Your turn.
Tensors yours_2(const Tensors& in, const Tensor& /*y*/, const Tensor& /*dy*/) {
  return {tg::zeros_like(in[0]), tg::zeros_like(in[1])};
}

// "The backward pass of a convolution is a convolution with the turned filter": so it is, but only if one
// writes it as a convolution. These loops go from y to x, and there nothing is turned.
Tensors turned_2(const Tensors& in, const Tensor& y, const Tensor& dy) {
  const Tensor &x = in[0], &w = in[1];
  Tensor dx = tg::zeros_like(x), dw = tg::zeros_like(w);
  const index_t last_i = w.shape()[0] - 1, last_j = w.shape()[1] - 1;
  for_each_term(y, w, [&](index_t p, index_t q, index_t i, index_t j, index_t c, index_t o) {
    add(dx, {0, p * kStride + i, q * kStride + j, c},
        dy.at({0, p, q, o}) * w.at({last_i - i, last_j - j, c, o}));
    add(dw, {i, j, c, o}, dy.at({0, p, q, o}) * x.at({0, p * kStride + i, q * kStride + j, c}));
  });
  return {dx, dw};
}

Tensors transposed_2(const Tensors& in, const Tensor& y, const Tensor& dy) {
  const Tensor &x = in[0], &w = in[1];
  Tensor dx = tg::zeros_like(x), dw = tg::zeros_like(w);
  for_each_term(y, w, [&](index_t p, index_t q, index_t i, index_t j, index_t c, index_t o) {
    add(dx, {0, p * kStride + i, q * kStride + j, c}, dy.at({0, p, q, o}) * w.at({i, j, c, o}));
    add(dw, {i, j, c, o}, dy.at({0, p, q, o}) * x.at({0, p * kStride + j, q * kStride + i, c}));
  });
  return {dx, dw};
}

Tensors solution_2(const Tensors& in, const Tensor& y, const Tensor& dy) {
  const Tensor &x = in[0], &w = in[1];
  Tensor dx = tg::zeros_like(x), dw = tg::zeros_like(w);
  for_each_term(y, w, [&](index_t p, index_t q, index_t i, index_t j, index_t c, index_t o) {
    add(dx, {0, p * kStride + i, q * kStride + j, c}, dy.at({0, p, q, o}) * w.at({i, j, c, o}));
    add(dw, {i, j, c, o}, dy.at({0, p, q, o}) * x.at({0, p * kStride + i, q * kStride + j, c}));
  });
  return {dx, dw};
}

// ---- Exercise 3: the mean of squared differences, one number for a whole batch

Tensor forward_3(const Tensors& in) {
  double sum = 0;
  for (index_t i = 0; i < in[0].size(); ++i) {
    const double difference = in[0].data<double>()[i] - in[1].data<double>()[i];
    sum += difference * difference;
  }
  return tg::tensor(sum / static_cast<double>(in[0].size()), tg::DType::Float64);
}

Tensors scaled_difference(const Tensors& in, double first, double second) {
  Tensor dx = tg::zeros_like(in[0]), dt = tg::zeros_like(in[1]);
  for (index_t i = 0; i < dx.size(); ++i) {
    const double difference = in[0].data<double>()[i] - in[1].data<double>()[i];
    dx.mutable_data<double>()[i] = first * difference;
    dt.mutable_data<double>()[i] = second * difference;
  }
  return {dx, dt};
}

// Your turn: dy has one element.
Tensors yours_3(const Tensors& in, const Tensor& /*y*/, const Tensor& /*dy*/) {
  return {tg::zeros_like(in[0]), tg::zeros_like(in[1])};
}

Tensors undivided_3(const Tensors& in, const Tensor& /*y*/, const Tensor& dy) {
  return scaled_difference(in, 2 * dy.item(), -2 * dy.item());
}

Tensors same_sign_3(const Tensors& in, const Tensor& /*y*/, const Tensor& dy) {
  const double factor = 2 * dy.item() / static_cast<double>(in[0].size());
  return scaled_difference(in, factor, factor);
}

Tensors solution_3(const Tensors& in, const Tensor& /*y*/, const Tensor& dy) {
  const double factor = 2 * dy.item() / static_cast<double>(in[0].size());
  return scaled_difference(in, factor, -factor);
}

// ----

struct Attempt {
  std::string what;
  tg::BackwardFunction backward;
};

struct Exercise {
  std::string title;
  tg::TensorFunction forward;
  Tensors inputs;
  std::vector<std::string> names, axes;
  std::string begin;  // where to begin, for who has written nothing yet
  tg::BackwardFunction yours, solution;
  std::vector<Attempt> wrong;

  tg::GradcheckReport check(const tg::BackwardFunction& backward) const {
    // All three functions are at most quadratic in each entry: differences are exact at any distance.
    return tg::gradcheck_backward(forward, backward, inputs,
                                  {.tolerance = 1e-10, .step = 1, .names = names, .axes = axes});
  }
};

std::vector<Exercise> exercises() {
  tg::Generator generator(2718281828);
  const auto draw = [&](const tg::Shape& shape) {
    return tg::normal(shape, 0, 1, generator, tg::DType::Float64);
  };
  return {
      {"a convolution in one dimension",
       forward_1,
       {draw({8}), draw({3})},
       {"x", "w"},
       {"p", "k"},
       "Write the loops of forward_1() once more. y[p] += x[p + i] w[i] is one product: which multiple of dy[p] does "
       "it add to dx[p + i], and which to dw[i]?",
       yours_1,
       solution_1,
       {{"dx[p + i] = ..., where several p and i meet", overwritten_1}, {"dw without dy", forgotten_1}}},
      {"a convolution of images, stride 2",
       forward_2,
       {draw({1, 7, 7, 2}), draw({3, 3, 2, 3})},
       {"x", "w"},
       {"n h w c", "kh kw in out"},
       "Call for_each_term(y, w, ...) as forward_2() does: each product that it visits adds one term to dx and one to "
       "dw, at the indices that its factors have in the forward pass.",
       yours_2,
       solution_2,
       {{"dx with the filter turned", turned_2}, {"i and j exchanged in dw", transposed_2}}},
      {"the mean squared error",
       forward_3,
       {draw({4, 5}), draw({4, 5})},
       {"prediction", "target"},
       {"n i", "n i"},
       "y = sum over i of (x[i] - t[i])^2 / n, and dy is one number: dy.item(). What is the derivative of one square, "
       "by x[i] and by t[i]?",
       yours_3,
       solution_3,
       {{"the mean's divisor forgotten", undivided_3}, {"the target's sign", same_sign_3}}}};
}

struct Options {
  int exercise = 0;
  bool solution = false, json = false;
  std::filesystem::path map;
};

bool print(const tg::GradcheckReport& report, bool json) {
  fmt::print("{}\n", json ? report.json() : report.str(isatty(STDOUT_FILENO) != 0));
  return report.passed;
}

void draw_map(const Exercise& exercise, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  // Blue is too small, red too large. The image's two channels are shown as two images.
  const Tensor dx = exercise.check(turned_2).error_map(0), dw = exercise.check(transposed_2).error_map(1);
  tg::write_png(folder / "dx.png", tg::filters_image(tg::permute(dx, {1, 2, 0, 3}), 16));
  tg::write_png(folder / "dw.png", tg::filters_image(dw, 16));
  fmt::print("{} and dw.png\n", (folder / "dx.png").string());
}

int run(const Options& options) {
  const std::vector<Exercise> all = exercises();
  if (!options.map.empty()) {
    draw_map(all[1], options.map);
    return 0;
  }
  if (options.exercise != 0) {
    const Exercise& exercise = all[static_cast<std::size_t>(options.exercise - 1)];
    const tg::GradcheckReport report = exercise.check(options.solution ? exercise.solution : exercise.yours);
    const bool passed = print(report, options.json);
    const bool untouched = std::ranges::all_of(
        report.tensors, [](const tg::GradcheckTensor& t) { return t.largest_gradient == 0; });
    if (untouched && !options.json)
      fmt::print("yours_{}() in examples/exercises/main.cpp gives zeros so far. {}\n", options.exercise,
                 exercise.begin);
    return passed ? 0 : 1;
  }
  bool as_expected = true;
  for (std::size_t n = 0; n < all.size(); ++n) {
    fmt::print("Exercise {}: {}\n\n", n + 1, all[n].title);
    for (const Attempt& attempt : all[n].wrong) {
      fmt::print("A wrong attempt: {}\n", attempt.what);
      as_expected = !print(all[n].check(attempt.backward), options.json) && as_expected;
    }
    if (!options.solution) continue;
    fmt::print("The solution:\n");
    as_expected = print(all[n].check(all[n].solution), options.json) && as_expected;
  }
  fmt::print("Now edit yours_1() in examples/exercises/main.cpp, and run: exercises --exercise 1\n");
  return as_expected ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Write a backward pass by hand, and see what gradcheck says.", "exercises");
  common::add_whole(app, "--exercise", options.exercise, 1, "check yours: 1, 2 or 3", 3);
  app.add_flag("--solution", options.solution, "check the solution instead");
  app.add_flag("--json", options.json, "the report for programs");
  app.add_option("--map", options.map,
                 "draw the error of exercise 2's turned dx and exchanged dw into this folder")
      ->type_name("FOLDER");
  return common::run_program(app, argc, argv, [&] { return run(options); });
}
