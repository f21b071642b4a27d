#include "checks/19_bug_hunt.h"

#include <fmt/format.h>

#include <map>
#include <memory>

// The ten are below: whoever reads on has found them, and learns less.

namespace exercise_19 {
namespace {

std::uint64_t drawn = 0;

/// One product: x[n, h, w, c] w[i, j, c, o] belongs to y[n, p, q, o].
struct Product {
  index_t n, p, q, i, j, c, o, h, w;
};

/// The loops that most of the ten have in common.
struct Loops {
  const Tensor &x, &w, &dy;
  Conv conv;
  Tensor dx, dw;

  Loops(const Tensor& image, const Tensor& filter, const Tensor& gradient, const Conv& options)
      : x(image),
        w(filter),
        dy(gradient),
        conv(options),
        dx(new_tensor(image.shape())),
        dw(new_tensor(filter.shape())) {}

  template <class Body>
  void each(Body&& body) {
    const Shape &f = w.shape(), &y = dy.shape();
    for (index_t n = 0; n < y[0]; ++n)
      for (index_t p = 0; p < y[1]; ++p)
        for (index_t q = 0; q < y[2]; ++q)
          for (index_t i = 0; i < f[0]; ++i)
            for (index_t j = 0; j < f[1]; ++j) {
              const index_t h = p * conv.stride_h + i - conv.top, v = q * conv.stride_w + j - conv.left;
              if (h < 0 || h >= x.shape()[1] || v < 0 || v >= x.shape()[2]) continue;
              for (index_t c = 0; c < f[2]; ++c)
                for (index_t o = 0; o < f[3]; ++o) body(Product{n, p, q, i, j, c, o, h, v});
            }
  }
  void add_dx(const Product& t, double value) { add_to(dx, {t.n, t.h, t.w, t.c}, value); }
  void add_dw(const Product& t, double value) { add_to(dw, {t.i, t.j, t.c, t.o}, value); }
  double g(const Product& t) const { return dy.at({t.n, t.p, t.q, t.o}); }
  double image(const Product& t) const { return x.at({t.n, t.h, t.w, t.c}); }
  double filter(const Product& t) const { return w.at({t.i, t.j, t.c, t.o}); }
  void right(const Product& t) {
    add_dx(t, g(t) * filter(t));
    add_dw(t, g(t) * image(t));
  }
  Tensors gradients() const { return {dx, dw}; }
};

using Backward = std::function<Tensors(const Tensor& x, const Tensor& w, const Tensor& dy, const Conv& conv)>;

template <class Body>
Backward in_loops(Body body) {
  return [body](const Tensor& x, const Tensor& w, const Tensor& dy, const Conv& conv) {
    Loops loops(x, w, dy, conv);
    loops.each([&](const Product& t) { body(loops, t); });
    return loops.gradients();
  };
}

tg::Conv2DOptions options_of(const Conv& c) {
  return {.strides = {c.stride_h, c.stride_w},
          .padding = tg::Padding::Explicit(c.top, c.bottom, c.left, c.right)};
}

Tensors by_library(const Tensor& x, const Tensor& w, const Tensor& dy, const Conv& conv) {
  return {tg::conv2d_backprop_input(x.shape(), w, dy, options_of(conv)),
          tg::conv2d_backprop_filter(x, w.shape(), dy, options_of(conv))};
}

// Right, in an order of its own: from the last product to the first, with a factor that goes in and out.
Tensors backwards(const Tensor& x, const Tensor& w, const Tensor& dy, const Conv& conv) {
  Loops loops(x, w, dy, conv);
  std::vector<Product> all;
  loops.each([&](const Product& t) { all.push_back(t); });
  for (auto t = all.rbegin(); t != all.rend(); ++t) {
    loops.add_dx(*t, loops.g(*t) / 3 * loops.filter(*t));
    loops.add_dw(*t, loops.image(*t) / 3 * loops.g(*t));
  }
  return {loops.dx * 3.0, loops.dw * 3.0};
}

// dw = sum of x times the mean of dy.
Tensors mean_gradient(const Tensor& x, const Tensor& w, const Tensor& dy, const Conv& conv) {
  Loops loops(x, w, dy, conv);
  const Tensor mean = tg::mean(dy, {0, 1, 2});
  loops.each([&](const Product& t) {
    loops.add_dx(t, loops.g(t) * loops.filter(t));
    loops.add_dw(t, mean.at({t.o}) * loops.image(t));
  });
  return loops.gradients();
}

// A buffer for dw that lives on, and is cleared only when a filter of another shape comes.
Backward with_memory() {
  const auto memory = std::make_shared<Tensor>();
  return [memory](const Tensor& x, const Tensor& w, const Tensor& dy, const Conv& conv) {
    Tensors right = by_library(x, w, dy, conv);
    if (!memory->defined() || memory->shape() != w.shape()) *memory = new_tensor(w.shape());
    *memory = *memory + right[1];
    right[1] = *memory * 1.0;
    return right;
  };
}

/// What the cases of a check had among them.
struct Seen {
  index_t calls = 0;
  bool kernel = false, strides = false, stride = false, batch = false, channels = false, padding = false,
       wide = false, again = false, gradient = false;
};

void look(Seen& seen, const Tensor& x, const Tensor& w, const Tensor& dy, const Conv& c,
          std::map<std::string, int>& shapes) {
  const Shape &f = w.shape(), &y = dy.shape();
  ++seen.calls;
  seen.kernel = seen.kernel || f[1] > f[0];
  seen.stride = seen.stride || c.stride_h > 1 || c.stride_w > 1;
  seen.strides = seen.strides || c.stride_h != c.stride_w;
  seen.batch = seen.batch || x.shape()[0] > 1;
  seen.channels = seen.channels || f[3] > f[2];
  seen.padding = seen.padding || c.top != c.left;
  seen.wide = seen.wide || (y[2] > 4 && y[2] % 4 != 0);
  seen.again = seen.again || ++shapes[f.str()] > 1;
  const auto values = dy.values<double>();
  for (const double v : values) seen.gradient = seen.gradient || v != values[0];
}

struct Wanted {
  const char* title;
  bool right;
  Backward backward;
  bool Seen::*needs;
  const char* hint;
};

std::vector<Wanted> line_up() {
  return {
      {"plain loops", true, in_loops([](Loops& l, const Product& t) { l.right(t); }), nullptr,
       "is it compared with the gradient of the same x, w and dy, and is rounding allowed for?"},
      {"taps beyond the kernel's height are left out, in columns too", false,
       in_loops([](Loops& l, const Product& t) {
         if (t.j < l.w.shape()[0]) l.right(t);
       }),
       &Seen::kernel,
       "a kernel that is wider than high: where height and width are equal, one may stand for the other"},
      {"the stride of the rows is used for columns as well", false,
       [](const Tensor& x, const Tensor& w, const Tensor& dy, const Conv& conv) {
         Conv same = conv;
         same.stride_w = conv.stride_h;
         Loops loops(x, w, dy, same);
         loops.each([&](const Product& t) { loops.right(t); });
         return loops.gradients();
       },
       &Seen::strides, "strides that are not equal: where they are, one may stand for the other"},
      {"dw of the last image only", false, in_loops([](Loops& l, const Product& t) {
         l.add_dx(t, l.g(t) * l.filter(t));
         if (t.n == l.x.shape()[0] - 1) l.add_dw(t, l.g(t) * l.image(t));
       }),
       &Seen::batch, "a batch of several images: with one, the last is all there is"},
      {"dx from as many output channels as there are input channels", false,
       in_loops([](Loops& l, const Product& t) {
         if (t.o < l.w.shape()[2]) l.add_dx(t, l.g(t) * l.filter(t));
         l.add_dw(t, l.g(t) * l.image(t));
       }),
       &Seen::channels,
       "more channels out than in: where their numbers are equal, one may stand for the other"},
      {"another order of the sums", true, backwards, nullptr,
       "sums in another order differ in their last digits: allow for rounding, as 1e-10 of the largest entry does"},
      {"the padding at the top is used at the left", false,
       [](const Tensor& x, const Tensor& w, const Tensor& dy, const Conv& conv) {
         Conv same = conv;
         same.left = conv.top;
         Loops loops(x, w, dy, same);
         loops.each([&](const Product& t) { loops.right(t); });
         return loops.gradients();
       },
       &Seen::padding, "padding that differs between top and left"},
      {"columns in blocks of four, and the incomplete block at the end left out", false,
       in_loops([](Loops& l, const Product& t) {
         const index_t columns = l.dy.shape()[2];
         if (columns < 4 || t.q < columns / 4 * 4) l.right(t);
       }),
       &Seen::wide,
       "a result of more than four columns, and not a multiple of four: fast code works in blocks, and stumbles over "
       "the rest"},
      {"dw from the mean of dy", false, mean_gradient, &Seen::gradient,
       "an output gradient that differs from pixel to pixel: with ones, dw does not depend on it"},
      {"dw added to what the last call left", false, with_memory(), &Seen::again,
       "two calls with a filter of the same shape: a buffer may keep what the first one left"},
  };
}

std::string sizes_seen(const Seen& seen) {
  std::vector<std::string> never;
  const auto note = [&](bool was, const char* text) {
    if (!was) never.emplace_back(text);
  };
  note(seen.kernel, "a kernel wider than high");
  note(seen.stride, "a stride above 1");
  note(!seen.stride || seen.strides, "unequal strides");
  note(seen.batch, "a batch above 1");
  note(seen.channels, "more channels out than in");
  note(seen.padding, "unequal padding");
  note(seen.wide, "more than four columns, not a multiple of four");
  note(seen.gradient, "an output gradient that is not constant");
  note(seen.again, "the same filter shape twice");
  return never.empty() ? ""
                       : fmt::format("\n  in all of its cases ({}) there was never {}", seen.calls,
                                     fmt::join(never, ", nor "));
}

}  // namespace

Tensor forward(const Tensor& x, const Tensor& w, const Conv& conv) {
  return tg::conv2d(x, w, options_of(conv));
}

Tensor random(const Shape& shape) {
  tg::Generator generator(19, ++drawn);
  return tg::normal(shape, 0, 1, generator, tg::DType::Float64);
}

void check(Check& check, const Answers& answers) {
  drawn = 0;
  check.part(
      "is_right",
      "take one case with an image of 5 x 7 and gradcheck_backward(), and see whom it finds. Then go through the table: which "
      "line of it do all of your cases have in common? What is left hides there.",
      [&] {
        int killed = 0, wrong = 0, accused = 0;
        Finding finding{.tensors = {"is_right"}};
        Seen last;
        std::string escaped;
        int number = 0;
        for (const Wanted& w : line_up()) {
          Seen seen;
          std::map<std::string, int> shapes;
          const Suspect suspect{++number,
                                [&](const Tensor& x, const Tensor& f, const Tensor& dy, const Conv& c) {
                                  look(seen, x, f, dy, c, shapes);
                                  return w.backward(x, f, dy, c);
                                }};
          const bool says = answers.is_right(suspect);
          wrong += w.right ? 0 : 1;
          if (w.right) last = seen;
          if (w.right && !says) {
            ++accused;
            finding.hints.push_back(fmt::format("suspect {} is right ({}), and accused{}{}", number, w.title,
                                                *w.hint == '\0' ? "" : ": ", w.hint));
          } else if (!w.right && !says) {
            ++killed;
          } else if (!w.right) {
            escaped += fmt::format("{}{}", escaped.empty() ? "" : ", ", number);
            const bool tried = w.needs != nullptr && seen.*w.needs;
            finding.hints.push_back(
                tried
                    ? fmt::format(
                          "suspect {} passed, though a case showed its fault: compare every entry of dx and of dw, with "
                          "a tolerance near rounding (its fault: {})",
                          number, w.title)
                    : fmt::format("suspect {} passed. No case had {}", number, w.hint));
          }
        }
        if (accused == 0 && killed == wrong) {
          for (int k = 0; k < number; ++k) check.expect(true, "");
          return;
        }
        finding.text =
            fmt::format("of {} wrong ones {} were found, and of {} right ones {} accused{}{}{}", wrong,
                        killed, number - wrong, accused, escaped.empty() ? "" : "; still free: suspect ",
                        escaped, accused == 0 ? sizes_seen(last) : "");
        if (finding.hints.size() > 2) finding.hints.resize(2);
        check.fail(std::move(finding));
      });
}

}  // namespace exercise_19
