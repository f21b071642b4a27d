// Checks backward passes that are written elsewhere, in NumPy above all (tools/check_numpy.py): the forward pass, the
// random cases and the report are tapegrad's, the backward pass answers through files and two pipes.
//
// What is said is one JSON object a line. This program writes
//
//   {"call": "backward", "op": "conv2d", "case": "...", "folder": "...", "inputs": ["x", "w"], "options": {...}}
//
// when folder holds x.npy, w.npy, y.npy and dy.npy, and waits for a line: "done" when dx.npy and dw.npy are there, or
// anything else, which is then the error. {"call": "forward", ...} asks for y.npy instead. At last of each case comes
// {"case": "...", "passed": false, "verdict": "fail", "report": "...", "gradcheck": {...}}, and at the end of all
// {"passed": 3, "cases": 5, "left_out": ["..."]}.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command_line/command_line.h"
#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Strings = std::vector<std::string>;
using tg::index_t;
using tg::Tensor;

namespace {

/// What the backward pass takes besides tensors. Courses often have one number where others have a pair.
struct Takes {
  Strings names;
  bool square = false;  ///< kernels must be
  bool operator()(const char* name) const { return std::ranges::find(names, name) != names.end(); }
};

struct Case {
  std::string what;
  std::vector<Tensor> inputs;
  Strings names, axes;
  tg::TensorFunction forward;
  Json options = Json::object();
  Strings needs{};  ///< options that must be taken, as they are not at their defaults here
  double step = 0;  ///< of the central differences
  std::vector<std::pair<std::string, Tensor>> constants{};
};

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : generator_(seed, 11) {}
  Tensor operator()(const tg::Shape& shape) {
    return tg::normal(shape, 0, 1, generator_, tg::DType::Float64);
  }
  Tensor between(const tg::Shape& shape, double low, double high) {
    return tg::uniform(shape, low, high, generator_, tg::DType::Float64);
  }

 private:
  tg::Generator generator_;
};

// ---- The cases of each op. Heights are not widths, kernels not square, batches above 1: so that nothing is right by
// symmetry.

Json pair_of(tg::Size2D size) {
  return {size.height, size.width};
}

struct Window {
  tg::Size2D strides = 1;
  std::array<index_t, 4> padding = {0, 0, 0, 0};  // top, bottom, left, right
  tg::Size2D dilations = 1;
  index_t groups = 1;
};

// A number for both directions, where the backward pass knows no other.
Window as_taken(Window window, const Takes& takes) {
  if (!takes("strides") && takes("stride")) window.strides = tg::Size2D(window.strides.height);
  if (!takes("padding") && takes("pad")) {
    const index_t most = *std::ranges::max_element(window.padding);
    window.padding = {most, most, most, most};
  }
  return window;
}

void add_window(Case& c, const Window& w) {
  const auto [top, bottom, left, right] = w.padding;
  c.options = {{"strides", pair_of(w.strides)},
               {"stride", w.strides.height},
               {"padding", Json::array({Json::array({top, bottom}), Json::array({left, right})})},
               {"pad", top},
               {"dilations", pair_of(w.dilations)},
               {"groups", w.groups}};
  if (w.strides != tg::Size2D(1)) c.needs.push_back("strides");
  if (w.padding != std::array<index_t, 4>{0, 0, 0, 0}) c.needs.push_back("padding");
  if (w.dilations != tg::Size2D(1)) c.needs.push_back("dilations");
  if (w.groups != 1) c.needs.push_back("groups");
}

tg::Conv2DOptions options_of(const Window& w) {
  return {.strides = w.strides,
          .padding = tg::Padding::Explicit(w.padding[0], w.padding[1], w.padding[2], w.padding[3]),
          .dilations = w.dilations,
          .groups = w.groups};
}

struct NamedWindow {
  const char* what;
  Window window;
};
const NamedWindow kWindows[] = {
    {"stride 1, no padding", {}},
    {"padding", {.padding = {1, 1, 1, 1}}},
    {"strides", {.strides = {2, 3}}},
    {"strides that leave pixels over, and padding", {.strides = {3, 2}, .padding = {2, 2, 2, 2}}},
    {"more padding after than before, as SAME has it", {.strides = {2, 2}, .padding = {0, 1, 1, 2}}},
    {"dilations", {.padding = {1, 1, 1, 1}, .dilations = {2, 3}}},
    {"strides and dilations", {.strides = {2, 3}, .padding = {2, 1, 1, 0}, .dilations = {3, 2}}},
    {"groups", {.padding = {1, 1, 1, 1}, .groups = 2}},
};

std::vector<Case> conv2d_cases(Draw& draw, const Takes& takes) {
  std::vector<Case> all;
  for (const NamedWindow& named : kWindows) {
    const Window window = as_taken(named.window, takes);
    const tg::Conv2DOptions options = options_of(window);
    const index_t in = 2 * window.groups, out = 3 * window.groups;
    Case c{.what = named.what,
           .inputs = {draw({2, 6, 7, in}), draw({3, takes.square ? 3 : 2, 2, out})},
           .names = {"x", "w"},
           .axes = {"n h w c", "kh kw in out"},
           .forward = [options](const auto& xs) { return tg::conv2d(xs[0], xs[1], options); },
           .step = 1};
    add_window(c, window);
    all.push_back(std::move(c));
  }
  return all;
}

std::vector<Case> conv2d_transpose_cases(Draw& draw, const Takes& takes) {
  std::vector<Case> all;
  for (const NamedWindow& named : kWindows) {
    const Window window = as_taken(named.window, takes);
    const tg::Conv2DOptions options = options_of(window);
    const index_t in = 3 * window.groups;
    const tg::Conv2DTransposeOptions transposed{.strides = options.strides,
                                                .padding = options.padding,
                                                .dilations = options.dilations,
                                                .groups = options.groups,
                                                .output_padding = tg::Size2D(0)};
    Case c{.what = named.what,
           .inputs = {draw({2, 4, 3, in}), draw({3, takes.square ? 3 : 4, 2, in})},
           .names = {"x", "w"},
           .axes = {"n h w c", "kh kw out in"},
           .forward = [transposed](const auto& xs) { return tg::conv2d_transpose(xs[0], xs[1], transposed); },
           .step = 1};
    add_window(c, window);
    all.push_back(std::move(c));
  }
  return all;
}

std::vector<Case> matmul_cases(Draw& draw, const Takes&) {
  const auto of = [&](const char* what, index_t m, index_t k, index_t n) {
    return Case{.what = what,
                .inputs = {draw({m, k}), draw({k, n})},
                .names = {"a", "b"},
                .axes = {},
                .forward = [](const auto& xs) { return tg::matmul(xs[0], xs[1]); },
                .step = 1};
  };
  return {of("4 x 3 times 3 x 5", 4, 3, 5), of("square", 3, 3, 3), of("a row times a column", 1, 6, 1)};
}

std::vector<Case> linear_cases(Draw& draw, const Takes&) {
  return {{.what = "5 samples, 4 to 3",
           .inputs = {draw({5, 4}), draw({4, 3}), draw({3})},
           .names = {"x", "w", "b"},
           .axes = {},
           .forward = [](const auto& xs) { return tg::matmul(xs[0], xs[1]) + xs[2]; },
           .step = 1}};
}

Case of_one(const char* what, const Tensor& x, std::function<Tensor(const Tensor&)> f,
            const char* axes = "") {
  return {.what = what,
          .inputs = {x},
          .names = {"x"},
          .axes = *axes == '\0' ? Strings{} : Strings{axes},
          .forward = [f = std::move(f)](const auto& xs) { return f(xs[0]); }};
}

std::vector<Case> relu_cases(Draw& draw, const Takes&) {
  return {of_one("4 x 7", draw({4, 7}), [](const Tensor& x) { return tg::relu(x); })};
}

std::vector<Case> softmax_cases(Draw& draw, const Takes&) {
  const auto f = [](const Tensor& x) { return tg::softmax(x, 1); };
  return {of_one("4 rows of 5", draw({4, 5}), f), of_one("logits around 1000", draw({4, 5}) + 1000.0, f)};
}

std::vector<Case> softmax_cross_entropy_cases(Draw& draw, const Takes&) {
  const std::vector<std::int32_t> classes = {0, 4, 2, 4};  // edges too, and one class twice
  const Tensor labels = tg::tensor(classes, {4});
  const auto of = [&](const char* what, const Tensor& z) {
    return Case{.what = what,
                .inputs = {z},
                .names = {"z"},
                .axes = {},
                .forward = [labels](const auto& xs) { return tg::cross_entropy(xs[0], labels); },
                .constants = {{"labels", labels}}};
  };
  return {of("4 rows of 5 logits", draw({4, 5})),
          of("logits around 1000, which exp() cannot take", draw({4, 5}) + 1000.0),
          of("a row of large logits beside a row of small ones",
             draw({4, 5}) + tg::tensor({{500}, {-500}, {0}, {3}}, tg::DType::Float64))};
}

std::vector<Case> batch_norm_cases(Draw& draw, const Takes&) {
  const double epsilon = 1e-2;
  const auto of = [&](const char* what, const tg::Shape& shape, const char* axes) {
    const index_t channels = shape[shape.rank() - 1];
    return Case{.what = what,
                .inputs = {draw(shape) * 2.0 + 0.5, draw.between({channels}, 0.5, 2), draw({channels})},
                .names = {"x", "gamma", "beta"},
                .axes = {axes, "c", "c"},
                .forward = [=](const auto& xs) { return tg::batch_norm(xs[0], xs[1], xs[2], epsilon).y; },
                .options = {{"epsilon", epsilon}, {"eps", epsilon}}};
  };
  return {of("7 samples of 3 features", {7, 3}, "n c"), of("images", {2, 3, 4, 3}, "n h w c")};
}

std::vector<Case> layer_norm_cases(Draw& draw, const Takes&) {
  const double epsilon = 1e-2;
  return {{.what = "4 samples of 6 features",
           .inputs = {draw({4, 6}) * 2.0 + 0.5, draw.between({6}, 0.5, 2), draw({6})},
           .names = {"x", "gamma", "beta"},
           .axes = {},
           .forward = [=](const auto& xs) { return tg::layer_norm(xs[0], xs[1], xs[2], epsilon); },
           .options = {{"epsilon", epsilon}, {"eps", epsilon}}}};
}

std::vector<Case> pool_cases(Draw& draw, const Takes& takes, bool largest) {
  struct Sizes {
    const char* what;
    tg::Size2D pool, strides;
  };
  std::vector<Case> all;
  for (const auto& [what, size, step] :
       {Sizes{"2 x 2 windows side by side", 2, 2}, Sizes{"3 x 2 windows that overlap", {3, 2}, {2, 1}},
        Sizes{"windows with gaps between them", {1, 2}, {2, 3}}}) {
    const bool one_size = !takes("pool_size") && takes("pool"),
               one_stride = !takes("strides") && takes("stride");
    const tg::Size2D pool = one_size ? tg::Size2D(size.height) : size;
    const tg::Size2D strides = one_stride ? tg::Size2D(step.height) : step;
    const tg::Pool2DOptions options{.pool_size = pool, .strides = strides};
    Case c = of_one(
        what, draw({2, 7, 6, 3}),
        [=](const Tensor& x) { return largest ? tg::max_pool2d(x, options) : tg::avg_pool2d(x, options); },
        "n h w c");
    c.options = {{"pool_size", pair_of(pool)},
                 {"pool", pool.height},
                 {"strides", pair_of(strides)},
                 {"stride", strides.height}};
    if (pool != tg::Size2D(2)) c.needs.push_back("pool_size");
    if (strides != pool) c.needs.push_back("strides");
    all.push_back(std::move(c));
  }
  return all;
}

struct Op {
  const char* name;
  std::function<std::vector<Case>(Draw&, const Takes&)> cases;
};
const Op kOps[] = {
    {"conv2d", conv2d_cases},
    {"conv2d_transpose", conv2d_transpose_cases},
    {"matmul", matmul_cases},
    {"linear", linear_cases},
    {"relu", relu_cases},
    {"softmax", softmax_cases},
    {"softmax_cross_entropy", softmax_cross_entropy_cases},
    {"batch_norm", batch_norm_cases},
    {"layer_norm", layer_norm_cases},
    {"max_pool2d", [](Draw& draw, const Takes& takes) { return pool_cases(draw, takes, true); }},
    {"avg_pool2d", [](Draw& draw, const Takes& takes) { return pool_cases(draw, takes, false); }},
};

// ---- The other side

/// The one who asked for the check, and who has the backward pass.
class Other {
 public:
  Other(std::string op, fs::path folder) : op_(std::move(op)), folder_(std::move(folder)) {}

  std::vector<Tensor> backward(const Case& c, const std::vector<Tensor>& xs, const Tensor& y,
                               const Tensor& dy) {
    write(c, xs);
    tg::write_npy(folder_ / "y.npy", y);
    tg::write_npy(folder_ / "dy.npy", dy);
    for (const std::string& name : c.names) fs::remove(folder_ / ("d" + name + ".npy"));
    ask("backward", c);
    std::vector<Tensor> gradients;
    for (std::size_t k = 0; k < xs.size(); ++k)
      gradients.push_back(result("d" + c.names[k], xs[k].shape(), "the gradient of " + c.names[k]));
    return gradients;
  }

  Tensor forward(const Case& c, const Tensor& right) {
    write(c, c.inputs);
    fs::remove(folder_ / "y.npy");
    ask("forward", c);
    return result("y", right.shape(), "the result");
  }

 private:
  void write(const Case& c, const std::vector<Tensor>& xs) const {
    for (std::size_t k = 0; k < xs.size(); ++k) tg::write_npy(folder_ / (c.names[k] + ".npy"), xs[k]);
    for (const auto& [name, value] : c.constants) tg::write_npy(folder_ / (name + ".npy"), value);
  }
  void ask(const char* what, const Case& c) const {
    Strings constants;
    for (const auto& [name, value] : c.constants) constants.push_back(name);
    const Json line = {{"call", what},        {"op", op_},
                       {"case", c.what},      {"folder", folder_.string()},
                       {"inputs", c.names},   {"constants", constants},
                       {"options", c.options}};
    fmt::print("{}\n", line.dump());
    std::fflush(stdout);
    std::string answer;
    if (!std::getline(std::cin, answer)) throw std::runtime_error("no answer: the other side has ended");
    if (answer != "done") throw std::runtime_error(answer);
  }
  Tensor result(const std::string& name, const tg::Shape& shape, const std::string& what) const {
    const fs::path path = folder_ / (name + ".npy");
    if (!fs::exists(path)) throw std::runtime_error(fmt::format("{} was not returned", what));
    const Tensor x = tg::read_npy(path);
    if (x.shape() != shape)
      throw std::runtime_error(
          fmt::format("{} must have the shape {}, got {}", what, shape.str(), x.shape().str()));
    return tg::cast(x, tg::DType::Float64);
  }

  std::string op_;
  fs::path folder_;
};

struct Options {
  std::string op, takes;
  std::uint64_t seed = 1;
  double tolerance = 0;
  bool forward = false, square = false;
  fs::path folder;
};

// Why a case is left out; empty if it is not.
std::string missing(const Case& c, const Takes& takes) {
  for (const std::string& need : c.needs) {
    const bool one = (need == "strides" && takes("stride")) || (need == "padding" && takes("pad")) ||
                     (need == "pool_size" && takes("pool"));
    if (!one && !takes(need.c_str())) return need;
  }
  return "";
}

// Whether the forward pass of the other side is ours; what is wrong goes into text.
bool forward_agrees(Other& other, const Case& c, std::string& text) {
  const Tensor right = c.forward(c.inputs), theirs = other.forward(c, right);
  const double scale = tg::max(tg::abs(right)).item(), error = tg::max(tg::abs(right - theirs)).item();
  if (error <= 1e-6 * std::max(scale, 1e-300)) return true;
  text = fmt::format(
      "your forward pass gives something else than tapegrad's: the largest difference is {:.3g}, the largest result "
      "{:.3g}.\nThe backward pass is not looked at before the forward passes agree. tapegrad's images are\n[batch, height, "
      "width, channels], its filters [height, width, in, out], and convolutions do not turn\nthe filter.\n",
      error, scale);
  return false;
}

bool run_case(Other& other, const Case& c, const Options& options) {
  Json line = {{"case", c.what}, {"passed", false}, {"verdict", "error"}, {"report", ""}};
  try {
    std::string text;
    if (options.forward && !forward_agrees(other, c, text)) {
      line["verdict"] = "forward";
      line["report"] = text;
    } else {
      tg::GradcheckOptions check{.step = c.step, .names = c.names, .axes = c.axes};
      if (options.tolerance > 0) check.tolerance = options.tolerance;
      check.seed = options.seed;
      const tg::GradcheckReport report = tg::gradcheck_backward(
          c.forward,
          [&](const auto& xs, const Tensor& y, const Tensor& dy) { return other.backward(c, xs, y, dy); },
          c.inputs, check);
      line["passed"] = report.passed;
      line["verdict"] = tg::name(report.verdict);
      line["report"] = report.str();
      line["gradcheck"] = Json::parse(report.json());
    }
  } catch (const std::exception& error) {
    line["report"] = fmt::format("{}\n", error.what());
  }
  fmt::print("{}\n", line.dump(-1, ' ', false, Json::error_handler_t::replace));
  std::fflush(stdout);
  return line["passed"].get<bool>();
}

int run(const Options& options) {
  const auto* const op = std::ranges::find(kOps, options.op, &Op::name);
  Takes takes{.names = {}, .square = options.square};
  std::istringstream names(options.takes);
  for (std::string name; std::getline(names, name, ',');) takes.names.push_back(name);
  Draw draw(options.seed);
  Other other(options.op, options.folder);
  int passed = 0, cases = 0;
  Strings left_out;
  for (const Case& c : op->cases(draw, takes)) {
    const std::string need = missing(c, takes);
    if (!need.empty()) {
      left_out.push_back(fmt::format("{}: the function has no parameter '{}'", c.what, need));
      continue;
    }
    ++cases;
    passed += run_case(other, c, options) ? 1 : 0;
  }
  const Json line = {{"passed", passed}, {"cases", cases}, {"left_out", left_out}};
  fmt::print("{}\n", line.dump());
  return passed == cases ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  Strings names;
  for (const Op& op : kOps) names.emplace_back(op.name);
  cli::Program program(
      "tg-gradcheck",
      "Checks a backward pass that is written elsewhere; tools/check_numpy.py does so for NumPy.");
  program.add_choice("op", options.op, names, fmt::format("one of {}", fmt::join(names, ", ")));
  program.require("op");
  program.add_path("--folder", options.folder, "FOLDER", "where arrays are exchanged");
  program.require("--folder");
  program.add_text("--takes", options.takes, "NAMES",
                   "the options that the backward pass takes: strides,padding,...");
  program.add_whole("--seed", options.seed, 0, "other numbers");
  program.add_number("--tolerance", options.tolerance, "the largest relative error (0: 1e-7)");
  program.add_flag("--square", options.square, "square kernels, for who knows no others");
  program.add_flag("--forward", options.forward, "compare the forward pass, too");
  return program.run(argc, argv, [&] {
    try {
      return run(options);
    } catch (const std::exception& error) {  // 1 is for a wrong backward pass
      fmt::print(stderr, "tg-gradcheck: {}\n", error.what());
      return 2;
    }
  });
}
