#include "checks/22_autoencoder.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <stdexcept>

#include "common/exercise_system.h"

namespace exercise_22 {
namespace {

namespace fs = std::filesystem;

// ---- The kernels

struct Case {
  Geometry g;
  Shape w;
  tg::Conv2DOptions options;
};

std::vector<Case> cases() {
  const auto of = [](Shape large, Shape w, index_t sh, index_t sw, index_t top, index_t bottom, index_t left,
                     index_t right) {
    const tg::Conv2DOptions options{.strides = {sh, sw},
                                    .padding = tg::Padding::Explicit(top, bottom, left, right)};
    const Shape small = tg::conv2d(tg::zeros(large), tg::zeros(w), options).shape();
    return Case{{sh, sw, top, left, large, small}, w, options};
  };
  return {of({2, 5, 4, 2}, {2, 3, 2, 3}, 1, 1, 0, 0, 0, 0), of({2, 7, 8, 3}, {3, 2, 3, 2}, 2, 3, 1, 0, 0, 1),
          of({3, 6, 4, 1}, {3, 3, 1, 2}, 2, 2, 1, 0, 1, 0)};
}

std::string text(const Case& c) {
  return fmt::format("large {}, small {}, w {}, strides {} and {}, top {}, left {}", c.g.large.str(),
                     c.g.small.str(), c.w.str(), c.g.stride_h, c.g.stride_w, c.g.top, c.g.left);
}

Tensor large_of(const Tensor& small, const Tensor& w, const Case& c) {
  return tg::conv2d_backprop_input(c.g.large, w, small, c.options);
}

/// Where a product reads the large image: row and column, from p, i and q, j.
using Place = std::function<std::pair<index_t, index_t>(index_t p, index_t i, index_t q, index_t j)>;

// gather() in loops, with the rows and columns of a mistake.
Tensor gathered(const Tensor& large, const Tensor& w, const Case& c, const Place& place) {
  Tensor small = new_tensor(c.g.small);
  const Shape& f = w.shape();
  for (index_t n = 0; n < c.g.small[0]; ++n)
    for (index_t p = 0; p < c.g.small[1]; ++p)
      for (index_t q = 0; q < c.g.small[2]; ++q)
        for (index_t i = 0; i < f[0]; ++i)
          for (index_t j = 0; j < f[1]; ++j) {
            const auto [h, v] = place(p, i, q, j);
            if (h < 0 || h >= c.g.large[1] || v < 0 || v >= c.g.large[2]) continue;
            for (index_t k = 0; k < f[2]; ++k)
              for (index_t o = 0; o < f[3]; ++o)
                add_to(small, {n, p, q, o}, large.at({n, h, v, k}) * w.at({i, j, k, o}));
          }
  return small;
}

std::vector<Explanation> of_gather(const Tensor& large, const Tensor& w, const Case& c) {
  const Geometry& g = c.g;
  const auto at = [&, c](Place place) { return [=] { return gathered(large, w, c, place); }; };
  return {
      {"the filter is turned: w[i, j] meets row p stride_h + i - top and column q stride_w + j - left",
       [=] { return tg::conv2d(large, tg::rot180(w), c.options); }},
      {"the strides are exchanged: stride_h goes with rows (p), stride_w with columns (q)",
       at([g](index_t p, index_t i, index_t q, index_t j) {
         return std::pair{p * g.stride_w + i - g.top, q * g.stride_h + j - g.left};
       })},
      {"the strides are left out: the window of small[p, q] begins at row p stride_h - top",
       at([g](index_t p, index_t i, index_t q, index_t j) {
         return std::pair{p + i - g.top, q + j - g.left};
       })},
      {"top and left are left out: the first window begins above and left of the image, at row -top and column -left",
       at([g](index_t p, index_t i, index_t q, index_t j) {
         return std::pair{p * g.stride_h + i, q * g.stride_w + j};
       })},
      {"top and left are exchanged: top belongs to rows", at([g](index_t p, index_t i, index_t q, index_t j) {
         return std::pair{p * g.stride_h + i - g.left, q * g.stride_w + j - g.top};
       })}};
}

void kernel_parts(Check& check, const Answers& answers) {
  const auto each = [&](const char* name, const char* look_next,
                        const std::function<void(const Case&)>& body) {
    check.part(name, look_next, [&] {
      for (const Case& c : cases()) {
        check.context(text(c));
        body(c);
      }
    });
  };
  each("gather", "it is exercise 10's convolution: the product in the text, added to small[n, p, q, o].",
       [&](const Case& c) {
         const Tensor large = check.draw(c.g.large), w = check.draw(c.w);
         check.compare("small", answers.gather(large, w, c.g), tg::conv2d(large, w, c.options),
                       {.axes = "n p q o", .explanations = of_gather(large, w, c)});
       });
  each(
      "scatter",
      "the same loops as in gather(), and the product goes to the large image: y = gather(x, w) as a matrix, transposed.",
      [&](const Case& c) {
        check.context(text(c) + "; dx = scatter(dy, w) as the gradient of the large x in gather(x, w)");
        const Tensor w = check.draw(c.w);
        check.backward(
            [&](const Tensors& in) { return tg::conv2d(in[0], w, c.options); },
            [&](const Tensors&, const Tensor&, const Tensor& dy) {
              return Tensors{answers.scatter(dy, w, c.g)};
            },
            {check.draw(c.g.large)}, {.tolerance = 1e-10, .step = 1, .names = {"x"}, .axes = {"n h w c"}},
            {{0, "the filter is turned: these loops go from small to large, and nothing is turned in them",
              [&](const Tensors&, const Tensor&, const Tensor& dy) {
                return large_of(dy, tg::rot180(w), c);
              }}});
      });
  each("correlate",
       "the same loops once more, and the product goes to w[i, j, c, o], from all images, rows and columns.",
       [&](const Case& c) {
         check.context(text(c) + "; dw = correlate(x, dy) as the gradient of w in gather(x, w)");
         const Tensor large = check.draw(c.g.large);
         check.backward([&](const Tensors& in) { return tg::conv2d(large, in[0], c.options); },
                        [&](const Tensors&, const Tensor&, const Tensor& dy) {
                          return Tensors{answers.correlate(large, dy, c.w, c.g)};
                        },
                        {check.draw(c.w)},
                        {.tolerance = 1e-10, .step = 1, .names = {"w"}, .axes = {"kh kw in out"}});
       });
}

// ---- The ops

// The gradients that the tape finds with the learner's op, as a backward pass of the library's function.
Tensors on_tape(const std::function<Tensor(const Tensor& x, const Tensor& w)>& op, const Tensors& in,
                const Tensor& dy) {
  tg::Tape tape;
  const Tensor x = tape.watch(in[0]), w = tape.watch(in[1]);
  const Tensor y = op(x, w);
  const tg::Gradients found = tape.gradient(y, {x, w}, {.output_gradient = dy});
  return {found[0], found[1]};
}

// The same, where operands that do not fit are the mistake.
Tensors fitting(Check& check, const char* name,
                const std::function<Tensor(const Tensor& x, const Tensor& w)>& op, const Tensors& in,
                const Tensor& dy) {
  try {
    return on_tape(op, in, dy);
  } catch (const std::exception& error) {
    check.fail(
        {.text = fmt::format("a rule of {}() ends with an error: {}", name, error.what()),
         .tensors = {name},
         .hints = {
             "a rule calls the wrong kernel, or its operands are in the wrong place: look at the text's table. "
             "From conv to transpose, gather and scatter are exchanged, and so are the images that correlate "
             "takes"}});
  }
}

void op_part(Check& check, const char* name, const char* look_next,
             const std::function<Tensor(const Tensor& x, const Tensor& w, const Geometry& g)>& op,
             bool enlarges) {
  check.part(name, look_next, [&] {
    for (const Case& c : cases()) {
      check.context(text(c) + ", on a tape");
      const auto right = [&](const Tensors& in) {
        return enlarges ? large_of(in[0], in[1], c) : tg::conv2d(in[0], in[1], c.options);
      };
      const Tensors in = {check.draw(enlarges ? c.g.small : c.g.large), check.draw(c.w)};
      check.compare("the result", op(in[0], in[1], c.g), right(in), {.axes = "n h w c"});
      const auto of_case = [&](const Tensor& x, const Tensor& w) { return op(x, w, c.g); };
      check.backward(right,
                     [&](const Tensors& xs, const Tensor&, const Tensor& dy) {
                       return fitting(check, name, of_case, xs, dy);
                     },
                     in,
                     {.tolerance = 1e-10,
                      .step = 1,
                      .names = {"x", "w"},
                      .axes = {"n h w c", enlarges ? "kh kw out in" : "kh kw in out"}});
    }
  });
}

// ---- The net

Net new_net(Check& check) {
  const Shape shapes[] = {{3, 3, 1, 8}, {3, 3, 8, 4}, {3, 3, 8, 4}, {3, 3, 1, 8}};
  Net net;
  for (std::size_t k = 0; k < 4; ++k) {
    const bool enlarges = k >= 2;
    const index_t in = enlarges ? shapes[k][3] : shapes[k][2], out = enlarges ? shapes[k][2] : shapes[k][3];
    const double deviation = std::sqrt(2.0 / (9.0 * static_cast<double>(in)));
    net.w.push_back(tg::parameter(check.draw(shapes[k], 0, enlarges ? 2 * deviation : deviation)));
    net.b.push_back(tg::parameter(check.draw({out}, 0.01, 0.01)));
  }
  return net;
}

struct Skip {
  bool relu = false, bias = false, sigmoid = false;
};

Tensor right_reconstruction(const std::vector<Tensor>& p, const Tensor& images, Skip skip = {}) {
  const auto geometry = tg::Conv2DOptions{.strides = 2, .padding = tg::Padding::Explicit(1, 0, 1, 0)};
  const index_t n = images.shape()[0];
  const auto finish = [&](const Tensor& sum, std::size_t k, bool last) {
    const Tensor with_bias = skip.bias ? sum : sum + p[2 * k + 1];
    if (last) return skip.sigmoid ? with_bias : tg::sigmoid(with_bias);
    return skip.relu ? with_bias : tg::relu(with_bias);
  };
  const Tensor h1 = finish(tg::conv2d(images, p[0], geometry), 0, false);
  const Tensor code = finish(tg::conv2d(h1, p[2], geometry), 1, false);
  const Tensor h2 = finish(tg::conv2d_backprop_input({n, 14, 14, 8}, p[4], code, geometry), 2, false);
  return finish(tg::conv2d_backprop_input({n, 28, 28, 1}, p[6], h2, geometry), 3, true);
}

std::vector<Tensor> copies(const Net& net) {
  std::vector<Tensor> all;
  for (const Tensor& p : parameters(net)) all.push_back(tg::parameter(tg::copy(p)));
  return all;
}

void net_part(Check& check, const Answers& answers) {
  check.part(
      "reconstruct",
      "layer by layer, with the picture: h1 = relu(conv(images, w[0], halving(n, 28, 1, 8)) + b[0]). Which Geometry has the "
      "last layer? That of the first.",
      [&] {
        const Net net = new_net(check);
        const Tensor images = tg::abs(check.draw({2, 28, 28, 1}));
        check.context("2 random images");
        const auto without = [&](Skip skip) {
          return [&net, &images, skip] { return right_reconstruction(parameters(net), images, skip); };
        };
        check.compare(
            "out", answers.reconstruct(net, images), right_reconstruction(parameters(net), images),
            {.axes = "n h w c",
             .explanations = {{"relu is left out behind the first three layers", without({.relu = true})},
                              {"the biases are left out", without({.bias = true})},
                              {"sigmoid is left out behind the last layer: pixels are between 0 and 1",
                               without({.sigmoid = true})}}});
      });
}

// ---- The optimizer

void adam_part(Check& check, const Answers& answers) {
  check.part(
      "adam_step",
      "exercise 20, with p.mutable_values<double>() in place of p. In the first step m and v have no numbers yet.",
      [&] {
        Tensor p = check.draw({3, 4});
        const Tensor reference = tg::parameter(tg::copy(p));
        tg::Adam adam({reference}, {.learning_rate = 0.01});
        Memory memory;
        for (int step = 1; step <= 5; ++step) {
          check.context(fmt::format("p [3, 4], step {}", step));
          const Tensor before = tg::copy(p), g = check.draw({3, 4});
          answers.adam_step(p, g, memory, 0.01);
          adam.step(tg::Gradients({reference}, {g}));
          std::vector<Explanation> explanations = {
              {"p is as it was: change it in place, through p.mutable_values<double>()",
               [&] { return before; }},
              {"the sign: this goes uphill", [&] { return 2.0 * before - tg::copy(reference); }}};
          if (step == 1)
            explanations.push_back({"no bias correction: m and v must be divided by 1 - beta^t", [&] {
                                      return before - 0.01 * 0.1 * g / (tg::sqrt(0.001 * g * g) + 1e-8);
                                    }});
          check.compare("p", p, tg::copy(reference), {.explanations = explanations});
        }
      });
}

void step_part(Check& check, const Answers& answers) {
  check.part(
      "train_step",
      "it is the four lines of the text, then adam_step() for each parameter with its gradient and its memory. A copy of a Tensor is "
      "the same parameter: std::vector<Tensor> p = parameters(net); adam_step(p[k], ...).",
      [&] {
        Net net = new_net(check);
        const std::vector<Tensor> right = copies(net);
        tg::Adam adam(right, {.learning_rate = 0.01});
        std::vector<Memory> memories(8);
        const char* const names[] = {"w[0]", "b[0]", "w[1]", "b[1]", "w[2]", "b[2]", "w[3]", "b[3]"};
        for (int step = 1; step <= 3; ++step) {
          check.context(fmt::format("3 random images, step {}", step));
          const Tensor images = tg::abs(check.draw({3, 28, 28, 1})) * 0.3;
          std::vector<Tensor> before;
          for (const Tensor& p : parameters(net)) before.push_back(tg::copy(p));
          const double loss = answers.train_step(net, memories, images, 0.01);
          tg::Tape tape;
          const Tensor expected = tg::mean(tg::square(right_reconstruction(right, images) - images));
          const double must = expected.item();
          check.number("the loss", loss, must, 1e-9,
                       {{must * 3 * 28 * 28, "this is the sum over all pixels; the loss is their mean"},
                        {must * 28 * 28, "the mean is over images only; it is one over all pixels"},
                        {must / 2, "the half of the square: the loss is the mean of the square itself"}});
          adam.step(tape.gradient(expected, right));
          for (std::size_t k = 0; k < right.size(); ++k)
            check.compare(
                names[k], tg::copy(parameters(net)[k]), tg::copy(right[k]),
                {.tolerance = 1e-7,
                 .explanations = {
                     {"it is as it was: adam_step() must be called for all eight of parameters(net), "
                      "filters and biases, and change them in place",
                      [&] { return before[k]; }}}});
        }
      });
}

// ---- The training

// data/ of the tree that the current folder or the program lies in.
fs::path data_folder() {
  for (fs::path start : {fs::current_path(), exercises::system::program()})
    for (; start.has_relative_path(); start = start.parent_path())
      if (fs::exists(start / "data" / "train-images-idx3-ubyte.gz")) return start / "data";
  throw std::runtime_error(
      "the digits were not found: there is no folder data/ here or above; call it in the repository");
}

Tensor digits(tg::Split split, index_t count) {
  const tg::Dataset data = tg::read_mnist(data_folder(), split);
  std::vector<index_t> numbers;
  for (index_t k = 0; k < count; ++k) numbers.push_back(k);
  return tg::read_all(tg::subset(data, numbers).inputs, tg::DType::Float64);
}

void training_part(Check& check, const Answers& answers) {
  constexpr index_t kBatch = 64, kSteps = 120;
  check.part(
      "training",
      "every piece is right, and yet the net does not learn: does train_step() use what the other functions do?",
      [&] {
        Net net = new_net(check);
        std::vector<Memory> memories(8);
        const Tensor images = digits(tg::Split::Train, kBatch * 15), test = digits(tg::Split::Test, 10);
        double first = 0, last = 0;
        for (index_t step = 0; step < kSteps; ++step) {
          const index_t begin = step % 15 * kBatch;
          last = answers.train_step(net, memories, tg::slice(images, {{begin, begin + kBatch}}), 0.01);
          if (step == 0) first = last;
        }
        check.expect(
            last < 0.05 && last < first / 2,
            fmt::format("after {} steps the loss is {:.4f}, and was {:.4f} at first: it must be below 0.05",
                        kSteps, last, first));
        const fs::path picture = fs::path("out") / "exercise_22.png";
        fs::create_directories(picture.parent_path());
        tg::write_png(picture, tg::sheet({test, answers.reconstruct(net, test)},
                                         {.columns = 10, .scale = 3, .labels = {"digits", "yours"}}));
        fmt::print("The loss fell from {:.4f} to {:.4f} in {} steps. Your picture: {}\n\n", first, last,
                   kSteps, picture.string());
      });
}

}  // namespace

void View::refuse(index_t a, index_t b, index_t c, index_t d) const {
  throw std::out_of_range(fmt::format("the index ({}, {}, {}, {}) lies outside of a tensor [{}, {}, {}, {}]",
                                      a, b, c, d, size_ / (b_ * c_ * d_), b_, c_, d_));
}

Geometry halving(index_t n, index_t size, index_t large_channels, index_t small_channels) {
  return {2, 2, 1, 1, {n, size, size, large_channels}, {n, size / 2, size / 2, small_channels}};
}

std::vector<Tensor> parameters(const Net& net) {
  std::vector<Tensor> all;
  for (std::size_t k = 0; k < net.w.size(); ++k) {
    all.push_back(net.w[k]);
    all.push_back(net.b[k]);
  }
  return all;
}

void check(Check& check, const Answers& answers) {
  kernel_parts(check, answers);
  op_part(check, "conv",
          "the table: the result and both rules are one call each, of gather(), scatter() and correlate().",
          answers.conv, false);
  op_part(check, "transpose",
          "the table's second line. Its large image is the result, so its gradient g is large as well.",
          answers.transpose, true);
  net_part(check, answers);
  adam_part(check, answers);
  step_part(check, answers);
  if (check.passed() && check.rigour() == Rigour::Strict && !check.friendly()) training_part(check, answers);
}

}  // namespace exercise_22
