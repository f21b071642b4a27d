// Gradients against closed forms, and against an evaluation that shares no code with the tape: random
// programs on plain arrays of dual numbers.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "autograd/helpers.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/base/random.h"
#include "tapegrad/ops/matmul.h"

namespace tapegrad {
namespace {

using testing::f64, testing::identity_op, testing::new_parameter, testing::number;

// ---- Closed forms

// The derivatives of orders 1, 2 and 3 of f at x, by gradients of gradients or by nested tapes.
template <class F>
std::vector<double> derivatives(F f, double at, bool nested) {
  Tape first;
  const Tensor x = first.watch(number(at));
  Tensor d1, d2;
  if (nested) {
    Tape second;
    Tape third;
    d1 = third.gradient(f(x), x);
    d2 = second.gradient(d1, x);
  } else {
    d1 = first.gradient(f(x), x, {.create_graph = true});
    d2 = first.gradient(d1, x, {.create_graph = true});
  }
  return {d1.item(), d2.item(), first.gradient(d2, x).item()};
}

template <class F>
void expect_derivatives(F f, double at, const std::vector<double>& expected) {
  for (const bool nested : {false, true}) {
    const auto found = derivatives(f, at, nested);
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT_NEAR(found[i], expected[i], 1e-12 * (1 + std::abs(expected[i]))) << "order " << i + 1;
  }
}

TEST(ClosedForms, Polynomial) {
  const double x = 1.5;  // x^5 - 2 x^3 + 4 x
  expect_derivatives([](const Tensor& t) { return t * t * t * t * t - 2.0 * t * t * t + 4.0 * t; }, x,
                     {5 * std::pow(x, 4) - 6 * x * x + 4, 20 * std::pow(x, 3) - 12 * x, 60 * x * x - 12});
}

TEST(ClosedForms, Exponential) {
  const double x = 0.3, e = std::exp(2 * x);
  expect_derivatives([](const Tensor& t) { return exp(2.0 * t); }, x, {2 * e, 4 * e, 8 * e});
}

TEST(ClosedForms, Tanh) {
  const double x = 0.7, t = std::tanh(x), d = 1 - t * t;
  expect_derivatives([](const Tensor& z) { return tanh(z); }, x, {d, -2 * t * d, d * (6 * t * t - 2)});
}

TEST(ClosedForms, QuotientAndLogarithm) {
  const double x = 2;  // log(x) / x
  const double l = std::log(x);
  expect_derivatives([](const Tensor& t) { return log(t) / t; }, x,
                     {(1 - l) / 4, (2 * l - 3) / 8, (11 - 6 * l) / 16});
}

TEST(ClosedForms, HessianOfRosenbrock) {
  const double x = 1.2, y = 1;
  Tape tape({.persistent = true});
  const Tensor v = tape.watch(f64({x, y}));
  const Tensor a = row(v, 0), b = row(v, 1);
  const Tensor f = square(1.0 - a) + 100.0 * square(b - square(a));
  const Tensor g = tape.gradient(f, v, {.create_graph = true});
  const Tensor first = tape.gradient(row(g, 0), v), second = tape.gradient(row(g, 1), v);
  EXPECT_NEAR(g.at({0}), -2 * (1 - x) - 400 * x * (y - x * x), 1e-10);
  EXPECT_NEAR(g.at({1}), 200 * (y - x * x), 1e-10);
  EXPECT_NEAR(first.at({0}), 2 - 400 * y + 1200 * x * x, 1e-10);
  EXPECT_NEAR(first.at({1}), -400 * x, 1e-10);
  EXPECT_NEAR(second.at({0}), -400 * x, 1e-10);
  EXPECT_NEAR(second.at({1}), 200, 1e-10);
}

// ---- Size

TEST(Size, AChainOfAMillionOps) {
  Tape tape;
  const Tensor x = tape.watch(number(1));
  Tensor y = x;
  for (int i = 0; i < 1'000'000; ++i) y = y + 1.0;
  EXPECT_EQ(tape.gradient(y, x).item(), 1);
}

TEST(Size, ALongChainThatIsNeverAskedAndOneOfGradients) {
  const Tensor p = new_parameter({1});
  {
    Tape tape;
    Tensor y = p;
    for (int i = 0; i < 300'000; ++i) y = y * p;  // every node saves its predecessor
  }
  Tape tape;
  Tensor y = p;
  for (int i = 0; i < 50'000; ++i) y = y * p;
  const Tensor g = tape.gradient(y, p, {.create_graph = true});
  EXPECT_EQ(g.item(), 50'001);
  EXPECT_EQ(tape.gradient(g, p).item(), 50'001.0 * 50'000);
}

// What follows would take so long if its cost were quadratic that the test runner gives up.

TEST(Size, AValueUsedOftenCostsLinearTime) {
  constexpr int count = 300'000;
  for (const bool create_graph : {false, true}) {
    Tape tape;
    const Tensor x = tape.watch(number(2));
    Tensor y = x;
    for (int i = 1; i < count; ++i) y = y + x;
    EXPECT_EQ(tape.gradient(y, x, {.create_graph = create_graph}).item(), count);
  }
}

TEST(Size, ManyParametersCostLinearTime) {
  std::vector<Tensor> ps;
  for (int i = 0; i < 300'000; ++i) ps.push_back(parameter(number(i)));
  Tape tape;
  Tensor y = ps[0] * 1.0;
  for (const Tensor& p : ps) y = y + p;
  EXPECT_EQ(tape.gradient(y, ps).back().item(), 1);
}

TEST(Size, ManyInnerTapesCostLinearTime) {
  // A gradient covers what came after its mark; it must not walk over the rest.
  constexpr int count = 200'000;
  Tape outer;
  const Tensor x = outer.watch(number(1));
  Tensor total = x;
  for (int i = 0; i < count; ++i) {
    Tape inner;
    total = total + inner.gradient(x * x, x);
  }
  EXPECT_EQ(outer.gradient(total, x).item(), 2 * count + 1);
}

TEST(Size, ManyGradientsOfShortPiecesCostLinearTime) {
  // A persistent tape that is asked again and again for what is near its end.
  Tape tape({.persistent = true});
  Tensor x = tape.watch(number(1));
  for (int i = 0; i < 300'000; ++i) {
    const Tensor y = x + 1.0;
    EXPECT_EQ(tape.gradient(y, x).item(), 1);
    x = y;
  }
}

TEST(Size, RowsOfAMatrixAreNotAllHeldAtOnce) {
  // Each row's gradient is the matrix with one row filled, 64 kB; all of them together would be 128 MB.
  constexpr index_t count = 2000;
  Tape tape;
  const Tensor x = tape.watch(zeros({count, 4}, DType::Float64));
  Tensor y = number(0);
  for (index_t i = 0; i < count; ++i) y = y + sum(row(x, i));
  release_memory();
  EXPECT_TRUE(equal(tape.gradient(y, x), ones({count, 4}, DType::Float64)));
  EXPECT_LT(cached_memory(), std::size_t{4} << 20);
}

// ---- Random programs

// a + b e, e^2 = 0. Nested, it is the algebra of mixed derivatives.
template <class T>
struct Dual {
  T a{}, b{};
  Dual() = default;
  Dual(double value) : a(value) {}  // NOLINT: numbers are duals
  Dual(const T& value, const T& slope) : a(value), b(slope) {}
};
template <class T>
Dual<T> operator+(const Dual<T>& x, const Dual<T>& y) {
  return {x.a + y.a, x.b + y.b};
}
template <class T>
Dual<T> operator-(const Dual<T>& x, const Dual<T>& y) {
  return {x.a - y.a, x.b - y.b};
}
template <class T>
Dual<T> operator*(const Dual<T>& x, const Dual<T>& y) {
  return {x.a * y.a, x.a * y.b + x.b * y.a};
}
template <class T>
Dual<T> operator/(const Dual<T>& x, const Dual<T>& y) {
  return {x.a / y.a, (x.b * y.a - x.a * y.b) / (y.a * y.a)};
}
double cos_of(double x) {
  return std::cos(x);
}
double sin_of(double x) {
  return std::sin(x);
}
double exp_of(double x) {
  return std::exp(x);
}
double tanh_of(double x) {
  return std::tanh(x);
}
template <class T>
Dual<T> cos_of(const Dual<T>& x);
template <class T>
Dual<T> sin_of(const Dual<T>& x) {
  return {sin_of(x.a), cos_of(x.a) * x.b};
}
template <class T>
Dual<T> cos_of(const Dual<T>& x) {
  return {cos_of(x.a), T(0.0) - sin_of(x.a) * x.b};
}
template <class T>
Dual<T> exp_of(const Dual<T>& x) {
  return {exp_of(x.a), exp_of(x.a) * x.b};
}
template <class T>
Dual<T> tanh_of(const Dual<T>& x) {
  const T t = tanh_of(x.a);
  return {t, (T(1.0) - t * t) * x.b};
}
double constant_part(double x) {
  return x;
}
template <class T>
double constant_part(const Dual<T>& x) {
  return constant_part(x.a);
}

template <class T>
struct Array {
  Shape shape;
  std::vector<T> v;
};

enum class Op {
  // Leaves
  Parameter,
  Watched,
  Constant,
  // With broadcasting
  Add,
  Subtract,
  Multiply,
  Divide,  // by the square plus 1.5
  // Element by element
  Exp,
  Tanh,
  Sin,
  Square,
  Stop,
  // Of shapes
  Reshape,
  Row,
  Slice,
  Transpose,
  SumAxis,
  Broadcast,
  // Of two matrices, of two equal shapes
  Matmul,
  UserProduct,
};

bool takes_two(Op op) {
  return op == Op::Matmul || op == Op::UserProduct || (op >= Op::Add && op <= Op::Divide);
}

struct Step {
  Op op;
  std::size_t a = 0, b = 0;
  Shape shape{};               // of the result
  index_t begin = 0, end = 0;  // of Slice; begin is the index of Row and the axis of SumAxis
  bool before_tape = false;    // a view of a parameter that is made before the tape
};

struct Program {
  std::vector<Step> steps;
  std::vector<Array<double>> leaves;  // in the order of the steps that take them
  std::vector<std::size_t> outputs;   // y = the sum of the elements of these, weighted
};

// Calls f(flat index, coordinates).
template <class F>
void for_each_index(const Shape& shape, F f) {
  std::vector<index_t> at(static_cast<std::size_t>(shape.rank()));
  for (index_t i = 0; i < shape.size(); ++i) {
    index_t rest = i;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      at[static_cast<std::size_t>(axis)] = rest % shape[axis];
      rest /= shape[axis];
    }
    f(static_cast<std::size_t>(i), at);
  }
}

// Where an operand of this shape is read for the result's coordinates.
std::size_t stretched(const Shape& shape, const std::vector<index_t>& at) {
  index_t flat = 0;
  const int skipped = static_cast<int>(at.size()) - shape.rank();
  for (int axis = 0; axis < shape.rank(); ++axis)
    flat = flat * shape[axis] + (shape[axis] == 1 ? 0 : at[static_cast<std::size_t>(axis + skipped)]);
  return static_cast<std::size_t>(flat);
}

template <class T>
Array<T> apply(const Step& step, const Array<T>& a, const Array<T>& b) {
  Array<T> y{step.shape, std::vector<T>(static_cast<std::size_t>(step.shape.size()))};
  const auto each = [&](auto f) {
    for_each_index(y.shape, [&](std::size_t i, const auto& at) { y.v[i] = f(i, at); });
  };
  const auto binary = [&](auto f) {
    each([&](std::size_t, const auto& at) {
      return f(a.v[stretched(a.shape, at)], b.v[stretched(b.shape, at)]);
    });
  };
  const auto unary = [&](auto f) { each([&](std::size_t i, const auto&) { return f(a.v[i]); }); };
  const std::size_t inner =
      a.shape.rank() > 0 && a.shape[0] > 0 ? static_cast<std::size_t>(a.shape.size() / a.shape[0]) : 1;
  switch (step.op) {
    case Op::Add:
      binary([](const T& p, const T& q) { return p + q; });
      break;
    case Op::Subtract:
      binary([](const T& p, const T& q) { return p - q; });
      break;
    case Op::Multiply:
    case Op::UserProduct:
      binary([](const T& p, const T& q) { return p * q; });
      break;
    case Op::Divide:
      binary([](const T& p, const T& q) { return p / (q * q + T(1.5)); });
      break;
    case Op::Exp:
      unary([](const T& p) { return exp_of(p * T(0.5)); });
      break;
    case Op::Tanh:
      unary([](const T& p) { return tanh_of(p); });
      break;
    case Op::Sin:
      unary([](const T& p) { return sin_of(p); });
      break;
    case Op::Square:
      unary([](const T& p) { return p * p; });
      break;
    case Op::Stop:
      unary([](const T& p) { return T(constant_part(p)); });
      break;
    case Op::Reshape:
      y.v = a.v;
      break;
    case Op::Row:
    case Op::Slice:
      each([&](std::size_t i, const auto&) { return a.v[static_cast<std::size_t>(step.begin) * inner + i]; });
      break;
    case Op::Transpose:
      each([&](std::size_t, const auto& at) {
        return a.v[static_cast<std::size_t>(at[1] * a.shape[1] + at[0])];
      });
      break;
    case Op::SumAxis:
      for_each_index(a.shape, [&](std::size_t i, std::vector<index_t> at) {
        at.erase(at.begin() + step.begin);
        T& total = y.v[stretched(y.shape, at)];
        total = total + a.v[i];
      });
      break;
    case Op::Broadcast:
      each([&](std::size_t, const auto& at) { return a.v[stretched(a.shape, at)]; });
      break;
    case Op::Matmul:
      each([&](std::size_t, const auto& at) {
        T total(0.0);
        for (index_t k = 0; k < a.shape[1]; ++k)
          total = total + a.v[static_cast<std::size_t>(at[0] * a.shape[1] + k)] *
                              b.v[static_cast<std::size_t>(k * b.shape[1] + at[1])];
        return total;
      });
      break;
    default:
      break;
  }
  return y;
}

double weight(std::size_t output, std::size_t i) {
  return std::sin(1.0 + static_cast<double>(output) + 0.7 * static_cast<double>(i));
}

// y of the program. perturb(step, array) may add an infinitesimal to any intermediate result.
template <class T, class Perturb>
T evaluate(const Program& program, Perturb perturb) {
  std::vector<Array<T>> values;
  std::size_t leaf = 0;
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const Step& step = program.steps[i];
    if (step.op <= Op::Constant) {
      const Array<double>& from = program.leaves[leaf++];
      values.push_back({from.shape, std::vector<T>(from.v.begin(), from.v.end())});
    } else {
      values.push_back(apply(step, values[step.a], values[step.b]));
    }
    perturb(i, values.back());
  }
  T y(0.0);
  for (std::size_t k = 0; k < program.outputs.size(); ++k)
    for (std::size_t i = 0; i < values[program.outputs[k]].v.size(); ++i)
      y = y + T(weight(k, i)) * values[program.outputs[k]].v[i];
  return y;
}

Tensor tensor_of(const Array<double>& array) {
  return tensor(array.v, array.shape);
}

// a * b for equal shapes, with rules that pass memory on as boldly as the contract allows.
Tensor user_product(const Tensor& a, const Tensor& b) {
  Tensor y = TensorAccess::clone(a);
  for (std::size_t i = 0; i < y.values<double>().size(); ++i)
    y.mutable_values<double>()[i] *= b.values<double>()[i];
  const auto rule = [](const Tensor& other) {
    return [other = Saved(other)](const Tensor& g) { return reshape(reshape(g * other(), {-1}), g.shape()); };
  };
  return record("user_product", y, {{a, rule(b)}, {b, rule(a)}});
}

// The same on tensors. Leaves and views of before the tape are in values already.
void run(const Program& program, std::vector<Tensor>& values, bool before_tape) {
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const Step& step = program.steps[i];
    if (step.op <= Op::Constant || step.before_tape != before_tape) continue;
    const Tensor &a = values[step.a], &b = values[step.b];
    values[i] = [&] {
      switch (step.op) {
        case Op::Add:
          return a + b;
        case Op::Subtract:
          return a - b;
        case Op::Multiply:
          return a * b;
        case Op::Divide:
          return a / (square(b) + 1.5);
        case Op::Exp:
          return exp(a * 0.5);
        case Op::Tanh:
          return tanh(a);
        case Op::Sin:
          return sin(a);
        case Op::Square:
          return square(a);
        case Op::Stop:
          return stop_gradient(a);
        case Op::Reshape:
          return reshape(a, step.shape);
        case Op::Row:
          return row(a, step.begin);
        case Op::Slice:
          return slice(a, {{step.begin, step.end}});
        case Op::Transpose:
          return transpose(a);
        case Op::SumAxis:
          return sum(a, {static_cast<int>(step.begin)});
        case Op::Broadcast:
          return broadcast_to(a, step.shape);
        case Op::Matmul:
          return matmul(a, b);
        case Op::UserProduct:
          return user_product(a, b);
        default:
          return a;
      }
    }();
  }
}

Program random_program(std::uint64_t seed) {
  Generator random(seed);
  Program program;
  std::vector<Array<double>> values;
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random.integer(bound)); };
  const auto leaf = [&](Op op, const Shape& shape) {
    Array<double> array{shape, std::vector<double>(static_cast<std::size_t>(shape.size()))};
    for (double& value : array.v) value = random.uniform(-1, 1);
    program.steps.push_back({.op = op, .shape = shape});
    program.leaves.push_back(array);
    values.push_back(array);
  };
  const auto add = [&](const Step& step) {
    program.steps.push_back(step);
    values.push_back(apply(step, values[step.a], values[step.b]));
    // Keeps the numbers small, so that the tolerance means something.
    double largest = 0;
    for (const double value : values.back().v) largest = std::max(largest, std::abs(value));
    if (largest > 3) {
      program.steps.push_back({.op = Op::Tanh, .a = values.size() - 1, .shape = step.shape});
      values.push_back(apply(program.steps.back(), values.back(), values.back()));
    }
  };
  leaf(Op::Parameter, {2, 3});
  leaf(Op::Parameter, {3});
  leaf(Op::Watched, {2, 3});
  leaf(Op::Watched, {});
  leaf(Op::Watched, {3, 2});
  leaf(Op::Constant, {2, 3});
  // Views of the first parameter, two deep, that exist before the tape.
  add({.op = Op::Reshape, .a = 0, .b = 0, .shape = {3, 2}, .before_tape = true});
  add({.op = Op::Row, .a = 0, .b = 0, .shape = {3}, .begin = 1, .before_tape = true});
  add({.op = Op::Slice, .a = 6, .b = 6, .shape = {2, 2}, .begin = 1, .end = 3, .before_tape = true});

  const std::size_t length = 6 + below(20);
  while (program.steps.size() < 9 + length) {
    const std::size_t a = below(values.size()), b = below(values.size());
    const Shape &sa = values[a].shape, &sb = values[b].shape;
    const auto op = static_cast<Op>(static_cast<std::size_t>(Op::Add) +
                                    below(static_cast<std::size_t>(Op::UserProduct) - 2));
    Step step{.op = op, .a = a, .b = b, .shape = sa};
    switch (op) {
      case Op::Add:
      case Op::Subtract:
      case Op::Multiply:
      case Op::Divide:
        try {
          step.shape = broadcast("program", sa, sb);
        } catch (const Error&) {
          continue;
        }
        break;
      case Op::Reshape:
        step.shape = Shape{sa.size()};
        break;
      case Op::Row:
      case Op::Slice:
      case Op::SumAxis: {
        if (sa.rank() == 0) continue;
        const std::vector<index_t> sizes(sa.begin() + 1, sa.end());
        step.begin = static_cast<index_t>(below(static_cast<std::size_t>(sa[0])));
        if (op == Op::Row) step.shape = Shape(sizes);
        if (op == Op::Slice) {
          std::vector<index_t> kept(sa.begin(), sa.end());
          step.end =
              step.begin + 1 + static_cast<index_t>(below(static_cast<std::size_t>(sa[0] - step.begin)));
          kept[0] = step.end - step.begin;
          step.shape = Shape(kept);
        }
        if (op == Op::SumAxis) {
          step.begin = static_cast<index_t>(below(static_cast<std::size_t>(sa.rank())));
          std::vector<index_t> left(sa.begin(), sa.end());
          left.erase(left.begin() + step.begin);
          step.shape = Shape(left);
        }
        break;
      }
      case Op::Transpose:
        if (sa.rank() != 2) continue;
        step.shape = Shape{sa[1], sa[0]};
        break;
      case Op::Broadcast: {
        if (sa.rank() > 1) continue;
        std::vector<index_t> sizes{2};
        sizes.insert(sizes.end(), sa.begin(), sa.end());
        step.shape = Shape(sizes);
        break;
      }
      case Op::Matmul:
        if (sa.rank() != 2 || sb.rank() != 2 || sa[1] != sb[0]) continue;
        step.shape = Shape{sa[0], sb[1]};
        break;
      case Op::UserProduct:
        if (!(sa == sb)) continue;
        break;
      default:
        break;
    }
    add(step);
  }
  program.outputs = {values.size() - 1, values.size() - 2, below(values.size())};
  return program;
}

// The sources of a program: all its parameters and watched inputs, and a few results in between.
std::vector<std::size_t> random_sources(const Program& program, std::uint64_t seed) {
  std::vector<bool> tracked;
  for (const Step& step : program.steps) {
    if (step.op <= Op::Constant)
      tracked.push_back(step.op != Op::Constant);
    else
      tracked.push_back(step.op != Op::Stop && (tracked[step.a] || (takes_two(step.op) && tracked[step.b])));
  }
  Generator random(seed, 1);
  std::vector<std::size_t> sources{0, 1, 2, 3, 4};
  for (int i = 0; i < 3; ++i) {
    const std::size_t at = 9 + static_cast<std::size_t>(random.integer(program.steps.size() - 9));
    if (tracked[at]) sources.push_back(at);
  }
  random.shuffle(std::span(sources));
  return sources;
}

struct Recorded {
  Program program;
  std::vector<Tensor> values;

  explicit Recorded(const Program& p) : program(p), values(p.steps.size()) {
    std::size_t leaf = 0;
    for (std::size_t i = 0; i < program.steps.size(); ++i)
      if (program.steps[i].op <= Op::Constant) {
        values[i] = tensor_of(program.leaves[leaf++]);
        if (program.steps[i].op == Op::Parameter) values[i] = parameter(values[i]);
      }
    run(program, values, true);
  }
  Tensor forward(Tape& tape) {
    for (std::size_t i = 0; i < program.steps.size(); ++i)
      if (program.steps[i].op == Op::Watched) values[i] = tape.watch(values[i]);
    run(program, values, false);
    // The first term ties y to the tape whatever the program is.
    Tensor y = sum(values[2] * 0.0);
    for (std::size_t k = 0; k < program.outputs.size(); ++k) {
      const Tensor& x = values[program.outputs[k]];
      std::vector<double> weights;
      for (std::size_t i = 0; i < static_cast<std::size_t>(x.size()); ++i) weights.push_back(weight(k, i));
      y = y + sum(x * tensor(weights, x.shape()));
    }
    return y;
  }
  std::vector<Tensor> sources(const std::vector<std::size_t>& at) const {
    std::vector<Tensor> handles;
    for (const std::size_t i : at) handles.push_back(values[i]);
    return handles;
  }
};

double direction(std::size_t order, std::size_t source, std::size_t i) {
  return std::cos(0.3 + 1.7 * static_cast<double>(order) + 0.9 * static_cast<double>(source) +
                  1.3 * static_cast<double>(i));
}

// The sum over all sources of <direction, gradient>, tied to the tape.
Tensor along(std::size_t order, const std::vector<Tensor>& gradients, const Tensor& anchor) {
  Tensor total = sum(anchor * 0.0);
  for (std::size_t s = 0; s < gradients.size(); ++s) {
    std::vector<double> d;
    for (std::size_t i = 0; i < static_cast<std::size_t>(gradients[s].size()); ++i)
      d.push_back(direction(order, s, i));
    total = total + sum(gradients[s] * tensor(d, gradients[s].shape()));
  }
  return total;
}

// Compares the gradients with a derivative for each entry of each source.
template <class Derivative>
::testing::AssertionResult same(const std::vector<Tensor>& gradients, Derivative derivative) {
  for (std::size_t s = 0; s < gradients.size(); ++s)
    for (std::size_t i = 0; i < static_cast<std::size_t>(gradients[s].size()); ++i) {
      const double expected = derivative(s, i), found = gradients[s].values<double>()[i];
      if (!std::isfinite(expected) || !(std::abs(expected - found) <= 1e-10 * (1 + std::abs(expected))))
        return ::testing::AssertionFailure()
               << "source " << s << ", entry " << i << ": " << found << " instead of " << expected;
    }
  return ::testing::AssertionSuccess();
}

using D1 = Dual<double>;
using D2 = Dual<D1>;
using D3 = Dual<D2>;

// T with a unit (or this slope) in one of its infinitesimals.
D1 slope(double value, int) {
  return {0.0, value};
}
D2 slope2(double value, int level) {
  return level == 0 ? D2{D1{0.0, value}, D1{}} : D2{D1{}, D1{value, 0.0}};
}
D3 slope3(double value, int level) {
  return level < 2 ? D3{slope2(value, level), D2{}} : D3{D2{}, D2{value}};
}

// d/d source[s][i] of y, after directions in the lower levels.
template <class T, class Slope>
T perturbed(const Program& program, const std::vector<std::size_t>& sources, int levels, std::size_t s,
            std::size_t i, Slope make) {
  return evaluate<T>(program, [&](std::size_t step, Array<T>& array) {
    for (std::size_t k = 0; k < sources.size(); ++k) {
      if (sources[k] != step) continue;
      for (int level = 0; level + 1 < levels; ++level)
        for (std::size_t e = 0; e < array.v.size(); ++e)
          array.v[e] = array.v[e] + make(direction(static_cast<std::size_t>(level), k, e), level);
      if (k == s) array.v[i] = array.v[i] + make(1, levels - 1);
    }
  });
}

TEST(RandomPrograms, FirstOrder) {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    const Program program = random_program(seed);
    const auto sources = random_sources(program, seed);
    std::vector<std::vector<Tensor>> results;
    for (const bool persistent : {false, true, false}) {
      Recorded recorded(program);
      Tape tape({.persistent = persistent});
      const Tensor y = recorded.forward(tape);
      results.push_back(tape.gradient(y, recorded.sources(sources), {.zeros_for_unreached = true}));
      if (persistent)
        results.push_back(tape.gradient(y, recorded.sources(sources), {.zeros_for_unreached = true}));
    }
    ASSERT_TRUE(
        same(results[0],
             [&](std::size_t s, std::size_t i) { return perturbed<D1>(program, sources, 1, s, i, slope).b; }))
        << "seed " << seed;
    for (const auto& again : results)
      for (std::size_t s = 0; s < sources.size(); ++s)
        ASSERT_TRUE(equal(again[s], results[0][s])) << "not the same bits again, seed " << seed;
  }
}

// The gradient of <d, gradient>, by parameters and watched inputs.
TEST(RandomPrograms, SecondOrder) {
  const std::vector<std::size_t> sources{0, 1, 2, 3, 4};
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const Program program = random_program(seed);
    for (const bool nested : {false, true}) {
      Recorded recorded(program);
      Tape tape;
      std::optional<Tape> inner;
      if (nested) inner.emplace();
      const Tensor y = recorded.forward(tape);
      const auto xs = recorded.sources(sources);
      const auto first =
          (nested ? *inner : tape).gradient(y, xs, {.create_graph = !nested, .zeros_for_unreached = true});
      const auto second = tape.gradient(along(0, first, xs[2]), xs, {.zeros_for_unreached = true});
      ASSERT_TRUE(same(
          second,
          [&](std::size_t s, std::size_t i) { return perturbed<D2>(program, sources, 2, s, i, slope2).b.b; }))
          << "seed " << seed << (nested ? ", nested" : "");
    }
  }
}

TEST(RandomPrograms, ThirdOrder) {
  const std::vector<std::size_t> sources{0, 1, 2, 3, 4};
  const GradientOptions keep{.create_graph = true, .zeros_for_unreached = true};
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Program program = random_program(seed);
    Recorded recorded(program);
    Tape tape;
    const Tensor y = recorded.forward(tape);
    const auto xs = recorded.sources(sources);
    const auto first = tape.gradient(y, xs, keep);
    const auto second = tape.gradient(along(0, first, xs[2]), xs, keep);
    const auto third = tape.gradient(along(1, second, xs[2]), xs, {.zeros_for_unreached = true});
    ASSERT_TRUE(same(
        third,
        [&](std::size_t s, std::size_t i) { return perturbed<D3>(program, sources, 3, s, i, slope3).b.b.b; }))
        << "seed " << seed;
  }
}

}  // namespace
}  // namespace tapegrad
