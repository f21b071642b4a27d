// Random programs on the tape: graphs of all rows of the table of ops, in Float64. First and second derivatives against
// differences and against each other (reverse, jvp, hvp), and what must not matter: persistent tapes, recorded gradients,
// checkpoints, hooks, nested tapes, threads, and exceptions thrown in the middle.

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>

#include "fuzz.h"
#include "ops/op_table.h"

using namespace tapegrad;
using testing::OpRow;
using Tensors = std::vector<Tensor>;

namespace {

// Rows that are no function of real numbers: rounded to Float32, differences are stairs.
bool is_usable(const OpRow& row) {
  return row.name() != "cast, to Float32 and back";
}

struct Row {
  const OpRow* row;
  std::vector<Tensors> inputs;  // drawn several times
};
const std::vector<Row>& rows() {
  static const std::vector<Row> made = [] {
    std::vector<Row> all;
    for (const OpRow& row : testing::op_table())
      if (is_usable(row)) {
        all.push_back({&row, {}});
        for (std::uint64_t seed = 0; seed < 4; ++seed) all.back().inputs.push_back(row.draw(seed));
      }
    return all;
  }();
  return made;
}

struct Step {
  const Row* row;
  std::size_t drawn;                 // which of the row's inputs the step's own are near to
  std::vector<std::size_t> sources;  // for each input: a leaf, or the result of an earlier step
};

struct Stopped : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What is done to a run on the way.
struct Run {
  std::optional<std::size_t> stop_at = {};     // throws before this step
  std::optional<std::size_t> checkpoint = {};  // this step is a checkpoint
  bool stop_inside = false;                    // of the checkpoint's function, in its second run
  Tensors* results = nullptr;                  // all leaves and results
};

class Program {
 public:
  explicit Program(fuzz::Draw& draw) {
    ties_ = draw.chance(48);
    for (index_t count = draw.integer(1, 3); count > 0; --count) {
      std::vector<index_t> sizes(static_cast<std::size_t>(draw.integer(0, 3)));
      for (index_t& size : sizes) size = draw.integer(1, 3);
      fuzz::Stream numbers(draw.byte());
      Tensor leaf = zeros(Shape(sizes), DType::Float64);
      for (double& value : leaf.mutable_values<double>())
        value = ties_ ? 0.5 * static_cast<double>(numbers.integer(-2, 2))
                      : static_cast<double>(numbers.integer(-1'000'000, 1'000'000)) / 700'000;
      leaves_.push_back(leaf);
    }
    for (index_t count = draw.integer(1, 8); count > 0; --count) {
      const Row& row = rows()[draw.bits<std::uint16_t>() % rows().size()];
      Step step{&row, draw.byte() % 4U, {}};
      for (std::size_t i = 0; i < row.row->inputs.size(); ++i)
        step.sources.push_back(static_cast<std::size_t>(draw.byte()) % (leaves_.size() + steps_.size()));
      steps_.push_back(step);
    }
  }

  const Tensors& leaves() const { return leaves_; }
  std::size_t steps() const { return steps_.size(); }
  bool ties() const { return ties_; }
  const std::string op(std::size_t step) const { return steps_[step].row->row->name(); }

  // The weighted sum of all results' elements.
  Tensor operator()(const Tensors& leaves, const Run& run = {}) const {
    Tensors all = leaves;
    Tensor total = zeros({}, DType::Float64);
    for (std::size_t k = 0; k < steps_.size(); ++k) {
      if (run.stop_at == k) throw Stopped("stopped");
      const Tensor y =
          run.checkpoint == k ? checkpointed(steps_[k], all, run.stop_inside) : result(steps_[k], all);
      all.push_back(y);
      if (y.size() > 0) total = total + sum(y * weights(y.shape(), k));
    }
    for (std::size_t k = 0; k < leaves.size(); ++k)  // every leaf is reached
      total = total + 0.01 * sum(square(leaves[k]) * weights(leaves[k].shape(), 100 + k));
    if (run.results != nullptr) *run.results = all;
    return total;
  }

  std::string str() const {
    std::string text;
    for (const Tensor& leaf : leaves_) text += "leaf " + leaf.shape().str() + "; ";
    for (const Step& step : steps_) {
      text += step.row->row->name() + " (";
      for (const std::size_t source : step.sources) text += " " + std::to_string(source);
      text += " ); ";
    }
    return text;
  }

 private:
  static Tensor weights(const Shape& shape, std::size_t which) {
    fuzz::Stream numbers(which);
    Tensor made = zeros(shape, DType::Float64);
    for (double& value : made.mutable_values<double>())
      value = static_cast<double>(numbers.integer(-100, 100)) / 64;
    return made;
  }

  // A tensor of the shape of `near`, and close to it, that depends on x; with ties the numbers of x themselves.
  Tensor adapted(const Tensor& x, const Tensor& near) const {
    const index_t count = near.size();
    if (count == 0 || x.size() == 0) return near;
    Tensor line = reshape(x, -1);
    if (line.size() < count) line = tile(line, {(count + line.size() - 1) / line.size()});
    if (line.size() > count) line = slice(line, 0, count);
    line = reshape(line, near.shape());
    return ties_ ? line : near + 0.15 * tanh(line);
  }

  Tensor result(const Step& step, const Tensors& all) const {
    Tensors inputs;
    for (std::size_t i = 0; i < step.sources.size(); ++i)
      inputs.push_back(adapted(all[step.sources[i]], step.row->inputs[step.drawn][i]));
    return 1.0 * step.row->row->f(inputs);  // some ops give back their input
  }

  Tensor checkpointed(const Step& step, const Tensors& all, bool stop_inside) const {
    Tensors inputs;
    for (const std::size_t source : step.sources) inputs.push_back(all[source]);
    Step inner = step;
    for (std::size_t i = 0; i < inner.sources.size(); ++i) inner.sources[i] = i;
    return checkpoint(
        [this, inner, stop_inside, calls = 0](const Tensors& in) mutable {
          if (stop_inside && ++calls == 2) throw Stopped("stopped");
          return result(inner, in);
        },
        inputs);
  }

  Tensors leaves_;
  std::vector<Step> steps_;
  bool ties_ = false;
};

// Sums are made in place where nobody else holds them: then some rules add in another order.
constexpr double kRounding = 1e-11;

struct Check {
  const Program& program;
  fuzz::Draw& draw;

  [[noreturn]] void fail(const std::string& what) const { fuzz::found(what + ": " + program.str()); }

  Tensors variables(Tape& tape) const { return tape.watch(program.leaves()); }
  Tensors gradient(const Run& run = {}) const {
    Tape tape;
    const Tensors xs = variables(tape);
    return tape.gradient(program(xs, run), xs, {.zeros_for_unreached = true});
  }

  // Equal, or both NaN, up to a part of the larger one.
  static bool close(double a, double b, double part) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
    if (std::isinf(a) || std::isinf(b)) return a == b;
    return a == b || std::abs(a - b) <= part * std::max({std::abs(a), std::abs(b), 1e-8});
  }
  void same(const Tensors& a, const Tensors& b, const char* what, double part = 0) const {
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (a[i].shape() != b[i].shape()) fail(std::string(what) + ": another shape");
      double scale = 0;
      for (const double value : a[i].values<double>())
        scale = std::max(scale, std::isfinite(value) ? std::abs(value) : 0);
      for (index_t k = 0; k < a[i].size(); ++k) {
        const double x = a[i].data<double>()[k], y = b[i].data<double>()[k];
        if (!close(x, y, part) && !(part > 0 && std::abs(x - y) <= part * scale))
          fail(std::string(what) + ": " + fmt::format("{} and {}", x, y));
      }
    }
  }

  // What may be left where numbers cancel, of results and their gradients of these sizes.
  double cancelled() const {
    Tape tape;
    Tensors all;
    const Tensor y = program(variables(tape), {.results = &all});
    const Gradients gradients = tape.gradient(y, all, {.zeros_for_unreached = true});
    double values = 1, slopes = 1;
    for (std::size_t k = 0; k < all.size(); ++k) {
      for (const double value : all[k].values<double>()) values += std::isfinite(value) ? std::abs(value) : 0;
      for (const double slope : gradients[k].values<double>()) slopes = std::max(slopes, std::abs(slope));
    }
    return 1e-13 * values * slopes;
  }

  Tensors directions(std::uint64_t seed) const {
    fuzz::Stream numbers(seed);
    Tensors made;
    for (const Tensor& leaf : program.leaves()) {
      made.push_back(zeros(leaf.shape(), DType::Float64));
      for (double& value : made.back().mutable_values<double>())
        value = static_cast<double>(numbers.integer(-64, 64)) / 64;
    }
    return made;
  }
  Tensors moved(const Tensors& along, double step) const {
    Tensors made;
    for (std::size_t i = 0; i < along.size(); ++i) made.push_back(program.leaves()[i] + step * along[i]);
    return made;
  }
  static double product(const Tensors& a, const Tensors& b) {
    double total = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
      for (index_t k = 0; k < a[i].size(); ++k) total += a[i].data<double>()[k] * b[i].data<double>()[k];
    return total;
  }
  static double size(const Tensors& a, const Tensors& b) {
    double total = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
      for (index_t k = 0; k < a[i].size(); ++k)
        total += std::abs(a[i].data<double>()[k] * b[i].data<double>()[k]);
    return total;
  }

  // Whether `claimed` is the slope of f at 0: central differences at several distances, extrapolated. What lies at a kink, or
  // is too steep, does not converge, and is not judged.
  template <class F>
  void slope(const char* what, double claimed, double scale, F f) const {
    const double about = std::abs(f(0.0)) + 1;
    double before = std::numeric_limits<double>::quiet_NaN();
    double nearest = std::numeric_limits<double>::infinity(), settled = nearest;
    for (const double h : {4e-3, 1e-3, 2.5e-4, 6e-5}) {
      const auto difference = [&](double at) { return (f(at) - f(-at)) / (2 * at); };
      const double found = (4 * difference(h / 2) - difference(h)) / 3;
      const double allowed = 2e-6 * (scale + 1e-3) + 1e-13 * about / h;
      const double distance = std::abs(found - claimed);
      if (distance <= allowed) {
        ++fuzz::judged;
        return;
      }
      // Three in a row that agree far better than they agree with the claim.
      if (std::abs(found - before) < 1e-2 * distance) settled = std::min(settled, distance);
      nearest = std::min(nearest, distance);
      before = found;
    }
    // At a kink the slopes of both sides differ, whatever the step.
    constexpr double kStep = 2.5e-4;
    const double kink = std::abs(f(kStep) - 2 * f(0.0) + f(-kStep)) / kStep;
    if (settled < std::numeric_limits<double>::infinity() && settled < 2 * nearest && kink < 0.3 * settled)
      fail(fmt::format("{} is {}, and differences are off by {}", what, claimed, settled));
  }

  void first_order() const {
    const Tensors g = gradient(), u = directions(1);
    if (!std::isfinite(size(g, u))) return;
    slope("the directional derivative", product(g, u), size(g, u),
          [&](double step) { return program(moved(u, step)).item(); });
    const auto [y, derivative] = jvp([&](const Tensors& xs) { return program(xs); }, program.leaves(), u);
    if (!close(derivative.item(), product(g, u), 1e-9) &&
        !(std::abs(derivative.item() - product(g, u)) <= 1e-9 * size(g, u) + cancelled()))
      fail(fmt::format("jvp gives {}, the gradient {}", derivative.item(), product(g, u)));
  }

  void second_order() const {
    const auto f = [&](const Tensors& xs) { return program(xs); };
    const Tensors u = directions(2), v = directions(3);
    const Tensors hu = hvp(f, program.leaves(), u);
    if (!std::isfinite(size(hu, v))) return;
    const double claimed = product(hu, v);
    slope("v H u", claimed, size(hu, v), [&](double step) {
      Tape tape;
      const Tensors xs = tape.watch(moved(u, step));
      return product(tape.gradient(program(xs), xs, {.zeros_for_unreached = true}), v);
    });
    const Tensors hv = hvp(f, program.leaves(), v);
    const double other = product(hv, u), scale = size(hu, v) + size(hv, u);
    if (std::isfinite(other) && std::abs(other - claimed) > 1e-8 * scale + 1e-10)
      fail(fmt::format("the Hessian is not symmetric: {} and {}", claimed, other));
  }

  // Where many elements are equal or lie at kinks there are no differences, but all ways must agree.
  void with_ties() const {
    Tensors g;
    if (!fuzz::accepts("", [&] { g = gradient(); })) return;
    ++fuzz::judged;
    const Tensors u = directions(4);
    const auto [y, derivative] = jvp([&](const Tensors& xs) { return program(xs); }, program.leaves(), u);
    const double forward = derivative.item(), backward = product(g, u), scale = size(g, u);
    // At a kink jvp, which is a second derivative, is NaN.
    if (std::isfinite(forward) && std::isfinite(backward) && scale < 1e100 &&
        std::abs(forward - backward) > 1e-9 * scale + cancelled())
      fail(fmt::format("with ties, jvp gives {} and the gradient {}", forward, backward));
  }

  void same_in_other_ways() const {
    const Tensors g = gradient();
    ++fuzz::judged;
    {
      Tape tape({.persistent = true});
      const Tensors xs = variables(tape);
      const Tensor y = program(xs);
      for (int i = 0; i < 2; ++i)
        same(g, tape.gradient(y, xs, {.zeros_for_unreached = true}), "a persistent tape", kRounding);
    }
    {
      Tape tape;
      const Tensors xs = variables(tape);
      same(g, tape.gradient(program(xs), xs, {.create_graph = true, .zeros_for_unreached = true}),
           "create_graph", kRounding);
    }
    const std::size_t step = static_cast<std::size_t>(draw.byte()) % program.steps();
    same(g, gradient({.checkpoint = step}), "a checkpoint", kRounding);
    const ThreadCountScope one(1);
    same(g, gradient(), "one thread");
  }

  void hooks() const {
    Tape tape({.persistent = true});
    const Tensors xs = variables(tape);
    Tensors all, called;
    const Tensor y = program(xs, {.results = &all});
    const Tensor& at = all[static_cast<std::size_t>(draw.byte()) % all.size()];
    int calls = 0;
    tape.on_gradient(at, [&](const Tensor& gradient) {
      ++calls;
      called = {copy(gradient)};
    });
    const Tensors g = tape.gradient(y, xs, {.zeros_for_unreached = true});
    const int before = calls;
    const Tensors asked = {tape.gradient(y, at, {.zeros_for_unreached = true})};
    if (calls > 2) fail("a hook is called more than once by a gradient()");
    if (before == 1) same(asked, called, "what a hook is given", kRounding);
    same(g, gradient(), "with a hook", kRounding);
    ++fuzz::judged;
  }

  // The gradient of a part of the program, taken inside: for the tape around it as if it were written out.
  void nested() const {
    const auto penalty = [&](const Tensors& xs) {
      Tape inner;
      const Tensors ys = inner.watch(xs);
      const Tensors g = inner.gradient(program(ys), ys, {.create_graph = true, .zeros_for_unreached = true});
      Tensor total = zeros({}, DType::Float64);
      for (const Tensor& x : g) total = total + sum(square(x));
      return total;
    };
    Tape tape;
    const Tensors xs = variables(tape);
    const Tensors found = tape.gradient(penalty(xs), xs, {.zeros_for_unreached = true});
    Tensors twice = gradient();
    for (Tensor& x : twice) x = 2.0 * x;
    const Tensors expected = hvp([&](const Tensors& in) { return program(in); }, program.leaves(), twice);
    for (const Tensor& x : expected)
      for (const double value : x.values<double>())
        if (!std::isfinite(value)) return;
    same(expected, found, "a nested tape", 1e-8);
    ++fuzz::judged;
  }

  void exceptions() const {
    const Tensors g = gradient();
    const std::size_t step = static_cast<std::size_t>(draw.byte()) % program.steps();
    const int where = draw.byte() % 4;
    bool thrown = false;
    try {
      Tape tape;
      const Tensors xs = variables(tape);
      if (where == 0) {
        (void)program(xs, {.stop_at = step});
      } else if (where == 1) {
        const Tensor y = program(xs, {.checkpoint = step, .stop_inside = true});
        (void)tape.gradient(y, xs, {.zeros_for_unreached = true});
      } else if (where == 2) {
        const Tensor y = program(xs);
        tape.on_gradient(xs[0], [](const Tensor&) { throw Stopped("stopped"); });
        (void)tape.gradient(y, xs, {.zeros_for_unreached = true});
      } else {
        const Tensor x = record("thrower", copy(stop_gradient(xs[0])),
                                {{xs[0], [](const Tensor&) -> Tensor { throw Stopped("stopped"); }}});
        Tensors ys = xs;
        ys[0] = x;
        (void)tape.gradient(program(ys), xs, {.zeros_for_unreached = true});
      }
    } catch (const Stopped&) {
      thrown = true;
    } catch (const Error& error) {
      thrown = std::string(error.what()).find("stopped") != std::string::npos;
      if (!thrown) fail(std::string("another error: ") + error.what());
    }
    if (!thrown && where != 1) fail("an exception was swallowed");
    if (is_recording()) fail("the recording goes on after an exception");
    same(g, gradient(), "after an exception");
    ++fuzz::judged;
  }

  // A leaf is changed in place between the forward pass and gradient(): the same gradient, or the error.
  void changed_in_place() const {
    const Tensors g = gradient();
    Tensors memory;
    for (const Tensor& leaf : program.leaves()) memory.push_back(copy(leaf));
    const bool as_parameters = draw.chance(128);
    if (as_parameters)
      for (Tensor& x : memory) x = parameter(x);
    Tape tape;
    const Tensors xs = as_parameters ? memory : tape.watch(memory);
    Tensors all;
    const Tensor y = program(xs, {.results = &all});
    const std::size_t which = static_cast<std::size_t>(draw.byte()) % all.size();
    if (which >= xs.size()) {
      Tensor result = all[which];
      if (result.size() > 0 && fuzz::accepts("", [&] { result.mutable_values<double>()[0] = 1; }))
        fail("a result of an open tape may be written to");
    } else {
      for (double& value : memory[which].mutable_values<double>()) value = 0.5 * value + 0.25;
    }
    Tensors found;
    std::string refusal;
    if (fuzz::accepts(
            "", [&] { found = tape.gradient(y, xs, {.zeros_for_unreached = true}); }, &refusal))
      same(g, found, "after a change in place", kRounding);
    else if (refusal.find("changed in place") == refusal.npos)
      fail("another error after a change in place: " + refusal);
    ++fuzz::judged;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Draw draw({data, size});
  const int kind = draw.byte() % 8;
  const Program program(draw);
  const Check check{program, draw};
  try {
    if (program.ties()) return check.with_ties(), 0;
    switch (kind) {
      case 0:
      case 1:
        check.first_order();
        break;
      case 2:
      case 3:
        check.second_order();
        break;
      case 4:
        check.same_in_other_ways();
        break;
      case 5:
        draw.chance(128) ? check.hooks() : check.nested();
        break;
      case 6:
        check.exceptions();
        break;
      default:
        check.changed_in_place();
    }
  } catch (const Error& error) {
    check.fail(std::string("refused: ") + error.what());
  }
  return 0;
}

// Any bytes are a program: these are the beginning.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  constexpr std::size_t kLength = 64;
  if (seed % 2 == 0 || max_size < kLength)
    return LLVMFuzzerMutate(data, size, std::min(max_size, 2 * kLength));
  fuzz::Stream stream(seed);
  for (std::size_t i = 0; i < kLength; ++i)
    if (i >= size || stream.below(4) == 0) data[i] = static_cast<std::uint8_t>(stream.bits() >> 24);
  return kLength;
}

std::vector<std::pair<std::string, fuzz::Bytes>> fuzz::seeds() {
  std::vector<std::pair<std::string, Bytes>> made;
  Stream stream(7);
  for (int i = 0; i < 48; ++i) {
    Bytes file(64);
    for (std::uint8_t& b : file) b = static_cast<std::uint8_t>(stream.bits() >> 24);
    file[0] = static_cast<std::uint8_t>(i);
    made.emplace_back("program" + std::to_string(i), file);
  }
  return made;
}
